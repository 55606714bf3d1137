"""What gives money away above what one person may: proposed by one, done once another has approved it, or never."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from broker.system import System
from tests.broker.billing.invoicing import bill, read_money, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, customer_api, make_ready_customer, staff_key
from tests.broker.running_jobs import HOUR, broken_rules

KINDS = ("credit", "grant", "write_off", "credit_note", "refund")


def set_bounds(system: System, most: str = "50.00") -> None:
    for kind in KINDS:
        setattr(system.services.settings, f"approval_{kind}", Decimal(most))


@asynccontextmanager
async def other_person(api: Api) -> AsyncIterator[Api]:
    async with Api.connect(api.app, await staff_key(api, "finance")) as own:
        yield own


async def propose(api: Api, act: str, expect: int = 201, **body: Any) -> Any:
    return await api.post("/approvals", {"act": act, "body": {"reason": "Agreed", **body}}, expect=expect)


async def billed(api: Api, system: System, clock: ManualClock) -> tuple[Customer, Any]:
    """Bill ten hours of a customer: 68.00 yuan."""
    customer = await make_ready_customer(api)
    await use(system, customer, 10 * HOUR)
    clock.advance(days=30)
    return customer, await bill(api, customer, "2026-11")


@pytest.fixture
async def settled(api: Api, system: System, clock: ManualClock) -> tuple[Customer, Any]:
    customer, invoice = await billed(api, system, clock)
    set_bounds(system)
    return customer, invoice


async def test_amount_above_the_bound_is_refused_to_one_person_and_done_by_two(
    api: Api, system: System, settled: tuple[Customer, Any]
) -> None:
    customer, invoice = settled
    body = {"kind": "bad_debt", "invoice_id": invoice["id"]}
    problem = await api.post("/adjustments", {**body, "reason": "Agreed"}, expect=409)
    assert problem["type"] == "/problems/approval-needed"
    assert (problem["giving"], problem["amount"], problem["allowed"]) == ("write_off", "68.00", "50.00")
    proposed = await propose(api, "adjustment", **body)
    assert (proposed["status"], proposed["amount"]["amount"]) == ("proposed", "68.00")
    assert (proposed["subject_id"], proposed["customer_id"]) == (invoice["id"], customer.id)
    assert (await api.get(f"/invoices/{invoice['id']}"))["status"] == "open", "nothing is booked before"
    assert (await api.get("/adjustments"))["data"] == []
    assert (await api.post(f"/approvals/{proposed['id']}/approve", expect=403))["type"] == "/problems/forbidden"
    async with other_person(api) as other:
        approved = await other.post(f"/approvals/{proposed['id']}/approve")
        again = await other.post(f"/approvals/{proposed['id']}/approve", expect=409)
    assert again["status_before"] == "approved"
    (made,) = (await api.get("/adjustments"))["data"]
    assert (approved["status"], approved["result_id"], made["author"]) == ("approved", made["id"], proposed["proposer"])
    assert approved["decider"] != approved["proposer"]
    assert (await api.get(f"/invoices/{invoice['id']}"))["status"] == "written_off"
    assert await broken_rules(system) == {}
    recorded = {row["action"]: row["actor_id"] for row in (await api.get("/audit"))["data"]}
    assert recorded["propose_act"] == proposed["proposer"]
    assert recorded["approve_act"] == approved["decider"]


async def test_each_way_of_giving_has_a_bound_of_its_own_and_needs_two_above_it(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, invoice = await billed(api, system, clock)
    paid = await make_ready_customer(api, plan="prepaid", starts_at=clock.now.isoformat())
    grant = (await api.get("/grants", contract_id=paid.contract["id"]))["data"][0]
    line = {"position": 1, "amount": "60.00"}
    acts: list[tuple[str, str, dict[str, Any]]] = [
        ("adjustment", "/adjustments", {"kind": "credit", "contract_id": customer.contract["id"], "amount": "60.00"}),
        ("adjustment", "/adjustments", {"kind": "grant", "grant_id": grant["id"], "quantity": 20 * HOUR}),
        ("grant", "/grants", {"contract_id": paid.contract["id"], "kind": "promotional", "gpu_hours": "30"}),
        ("credit_note", "/credit-notes", {"invoice_id": invoice["id"], "lines": [line]}),
        ("grant_refund", f"/grants/{grant['id']}/refund", {"grant_id": grant["id"]}),
    ]
    set_bounds(system)
    before = await read_money(system, customer), await read_money(system, paid)
    for act, path, body in acts:
        sent = {} if act == "grant_refund" else {**body, "reason": "Agreed"}
        refusal = await api.post(path, sent, expect=409)
        assert refusal["type"] == "/problems/approval-needed", path
    proposed = [await propose(api, act, **body) for act, _path, body in acts]
    assert [each["amount"]["amount"] for each in proposed] == ["60.00", "52.00", "78.00", "60.00", "1300.00"]
    assert before == (await read_money(system, customer), await read_money(system, paid))
    waiting = (await api.get("/approvals", status="proposed"))["data"]
    assert [each["id"] for each in waiting] == [each["id"] for each in reversed(proposed)]
    async with other_person(api) as other:
        for each in proposed[:1] + proposed[2:]:
            assert (await other.post(f"/approvals/{each['id']}/approve"))["result_id"]
        changed = await other.post(f"/approvals/{proposed[1]['id']}/reject", {"reason": "It was refunded"})
    assert (changed["status"], changed["decision_reason"]) == ("rejected", "It was refunded")
    assert (await api.get("/approvals", status="proposed"))["data"] == []
    assert await broken_rules(system) == {}


async def test_dispute_above_the_bound_of_credit_notes_is_lost_by_two_people(
    api: Api, system: System, settled: tuple[Customer, Any]
) -> None:
    _customer, invoice = settled
    disputed = {"invoice_id": invoice["id"], "position": 1, "reason": "Not ours"}
    dispute = await api.post("/disputes", disputed, expect=201)
    refusal = await api.post(f"/disputes/{dispute['id']}/lose", expect=409)
    assert (refusal["type"], refusal["giving"]) == ("/problems/approval-needed", "credit_note")
    proposed = await propose(api, "dispute_loss", dispute_id=dispute["id"])
    assert (proposed["amount"]["amount"], proposed["subject_id"]) == ("68.00", dispute["id"])
    assert (await api.get(f"/disputes/{dispute['id']}"))["status"] == "opened", "nothing ends before"
    async with other_person(api) as other:
        approved = await other.post(f"/approvals/{proposed['id']}/approve")
    ended = await api.get(f"/disputes/{dispute['id']}")
    assert (ended["status"], ended["remedy"], ended["remedy_id"]) == ("lost", "credit_note", approved["result_id"])
    assert (await api.get(f"/invoices/{invoice['id']}"))["due"]["amount"] == "0.00"
    assert await broken_rules(system) == {}


async def test_void_of_a_grant_above_the_bound_needs_two_people(
    api: Api, system: System, settled: tuple[Customer, Any]
) -> None:
    customer, _invoice = settled
    gift = {"contract_id": customer.contract["id"], "kind": "promotional", "reason": "Agreed"}
    small, large = [await api.post("/grants", {**gift, "gpu_hours": hours}, expect=201) for hours in ("7", "7.3")]
    set_bounds(system, "48.00")
    assert (await api.post(f"/grants/{small['id']}/void", {"reason": "Over"}))["status"] == "void"
    refusal = await api.post(f"/grants/{large['id']}/void", {"reason": "Over"}, expect=409)
    assert (refusal["type"], refusal["giving"], refusal["amount"]) == ("/problems/approval-needed", "grant", "49.64")
    proposed = await propose(api, "grant_void", grant_id=large["id"])
    assert (proposed["amount"]["amount"], proposed["subject_id"]) == ("49.64", large["id"])
    assert (await api.get(f"/grants/{large['id']}"))["status"] == "active", "nothing is taken before"
    async with other_person(api) as other:
        approved = await other.post(f"/approvals/{proposed['id']}/approve")
    assert (approved["status"], approved["result_id"]) == ("approved", large["id"])
    assert (await api.get(f"/grants/{large['id']}"))["status"] == "void"
    assert await broken_rules(system) == {}


async def test_void_above_the_bound_of_credit_notes_needs_two_people(
    api: Api, system: System, settled: tuple[Customer, Any]
) -> None:
    customer, invoice = settled
    refusal = await api.post(f"/invoices/{invoice['id']}/void", {"reason": "Agreed"}, expect=409)
    assert (refusal["type"], refusal["giving"]) == ("/problems/approval-needed", "credit_note")
    proposed = await propose(api, "void", invoice_id=invoice["id"])
    assert (proposed["amount"]["amount"], proposed["subject_id"]) == ("68.00", invoice["id"])
    assert (await api.get(f"/invoices/{invoice['id']}"))["status"] == "open", "nothing is booked before"
    async with other_person(api) as other:
        approved = await other.post(f"/approvals/{proposed['id']}/approve")
    assert (approved["status"], approved["result_id"]) == ("approved", invoice["id"])
    assert (await api.get(f"/invoices/{invoice['id']}"))["status"] == "void"
    assert await read_money(system, customer) == {}
    assert await broken_rules(system) == {}


async def test_money_that_goes_back_needs_two_people(api: Api, system: System, settled: tuple[Customer, Any]) -> None:
    customer, _invoice = settled
    credit = {"kind": "credit", "contract_id": customer.contract["id"], "amount": "50.00", "reason": "Agreed"}
    for _time in range(2):
        await api.post("/adjustments", credit, expect=201)
    payee = {"name": "Tea", "account": "6222"}
    body = {"contract_id": customer.contract["id"], "taken_from": "credit", "method": "bank_transfer", "payee": payee}
    assert (await api.post("/refunds", {**body, "reason": "Agreed"}, expect=409))["giving"] == "refund"
    await api.post("/refunds", {**body, "reason": "Agreed", "amount": "10.00"}, expect=201)
    proposed = await propose(api, "refund", **body)
    assert proposed["amount"]["amount"] == "90.00"
    async with other_person(api) as other:
        assert (await other.post(f"/approvals/{proposed['id']}/approve"))["result_id"].startswith("ref_")
    assert await broken_rules(system) == {}


async def test_small_amounts_need_nobody_else(api: Api, system: System, settled: tuple[Customer, Any]) -> None:
    customer, _invoice = settled
    credit = {"kind": "credit", "contract_id": customer.contract["id"], "amount": "50.00", "reason": "Agreed"}
    await api.post("/adjustments", credit, expect=201)
    await api.post("/adjustments", {**credit, "amount": "-50.00"}, expect=201)
    system.services.settings.approval_credit = Decimal(0)
    refusal = await api.post("/adjustments", {**credit, "amount": "0.01"}, expect=409)
    assert refusal["allowed"] == "0.00"


async def test_what_cannot_be_done_cannot_be_proposed(api: Api, settled: tuple[Customer, Any]) -> None:
    _customer, invoice = settled
    beyond = await propose(api, "adjustment", 422, kind="bad_debt", invoice_id=invoice["id"], amount="68.01")
    assert beyond["errors"][0]["field"] == "amount"
    wrong = await propose(api, "credit_note", 422, invoice_id=invoice["id"], lines=[{"position": 1, "amount": "0.00"}])
    assert wrong["errors"][0]["field"] == "body.lines.0.amount"
    await propose(api, "credit_note", 404, invoice_id="inv_none", lines=[{"position": 1, "amount": "1.00"}])
    assert (await api.get("/approvals"))["data"] == []


async def test_proposal_expires_and_one_that_comes_to_something_else_by_then_is_not_done(
    api: Api, system: System, clock: ManualClock, settled: tuple[Customer, Any]
) -> None:
    customer, invoice = settled
    late = await propose(api, "adjustment", kind="bad_debt", invoice_id=invoice["id"])
    clock.advance(days=7)
    assert (await api.get(f"/approvals/{late['id']}"))["status"] == "expired"
    assert [each["id"] for each in (await api.get("/approvals", status="expired"))["data"]] == [late["id"]]
    stale = await propose(api, "adjustment", kind="bad_debt", invoice_id=invoice["id"])
    credit = {"kind": "credit", "contract_id": customer.contract["id"], "amount": "8.00", "reason": "Agreed"}
    await api.post("/adjustments", credit, expect=201)
    await api.post(f"/invoices/{invoice['id']}/pay", {"from_credit": True})
    async with other_person(api) as other:
        assert (await other.post(f"/approvals/{late['id']}/approve", expect=409))["status_before"] == "expired"
        problem = await other.post(f"/approvals/{stale['id']}/approve", expect=409)
        assert problem["type"] == "/problems/changed-since"
        await other.post(f"/invoices/{invoice['id']}/pay")
        await other.post(f"/approvals/{stale['id']}/approve", expect=409)
    assert [each["kind"] for each in (await api.get("/adjustments"))["data"]] == ["credit"], "the debt is not given up"
    assert (await api.get(f"/approvals/{stale['id']}"))["status"] == "proposed", "nothing half done"
    assert await broken_rules(system) == {}


async def test_two_who_approve_at_once_do_it_once(api: Api, system: System, settled: tuple[Customer, Any]) -> None:
    _customer, invoice = settled
    proposed = await propose(api, "adjustment", kind="bad_debt", invoice_id=invoice["id"])
    path = f"/approvals/{proposed['id']}/approve"
    async with other_person(api) as one, other_person(api) as other:
        answers = await asyncio.gather(one.call("POST", path), other.call("POST", path))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len((await api.get("/adjustments"))["data"]) == 1
    assert await broken_rules(system) == {}


async def test_customers_neither_see_nor_decide_what_is_proposed(api: Api, settled: tuple[Customer, Any]) -> None:
    customer, invoice = settled
    proposed = await propose(api, "adjustment", kind="bad_debt", invoice_id=invoice["id"])
    async with customer_api(api, customer.id) as own:
        await own.get("/approvals", expect=403)
        await own.get(f"/approvals/{proposed['id']}", expect=403)
        await own.post(f"/approvals/{proposed['id']}/approve", expect=403)

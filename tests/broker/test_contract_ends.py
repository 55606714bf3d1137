"""The ends of contracts over the API: renewed, declined, cancelled, ended; budgets watched; credit limited."""

from datetime import timedelta
from typing import Any

import pytest

from broker.contracts import service as contracts
from broker.signing.renewals import attend_to_end
from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, amend_contract, make_customer, make_ready_customer, sign_contract, submit_job
from tests.broker.running_jobs import HOUR, broken_rules, read_balance, report_usage, start_job

IN_A_WEEK = (START + timedelta(days=7)).isoformat()


async def attend(system: System, contract_id: str) -> None:
    async with system.work() as work:
        await attend_to_end(work, contract_id)


async def read_kinds(api: Api, contract_id: str) -> list[str]:
    """Read what happened to a contract, the earliest first; what became of its grants is told beside."""
    events = (await api.get(f"/contracts/{contract_id}/events"))["data"]
    return [event["kind"] for event in reversed(events) if not event["kind"].startswith("grant_")]


async def test_contract_is_renewed_under_its_number_right_after_its_end(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid", ends_at=IN_A_WEEK, contract_number="HT-1")
    renewal = f"/contracts/{customer.contract['id']}/renewal"
    following = await api.post(renewal, {"renew": True, "committed_gpu_hours": 600})
    assert following["starts_at"] == customer.contract["ends_at"]
    assert (following["contract_number"], following["renewed_from_id"]) == ("HT-1", customer.contract["id"])
    assert (following["committed_gpu_hours"], following["status"]) == (600, "upcoming")
    await api.post(f"/invoices/{following['advance_invoice_id']}/pay")
    assert await read_kinds(api, customer.contract["id"]) == ["signed", "renewed"]
    await api.post(renewal, {"renew": True}, expect=409)
    await api.post(renewal, {"renew": False}, expect=409)
    clock.advance(days=8)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    assert job["contract_id"] == following["id"]


async def test_renewal_on_another_plan_has_what_that_plan_has(api: Api) -> None:
    """It kept `block` and the tokens bought ahead, which the other plan refuses; nobody could leave them out."""
    customer = await make_ready_customer(api, plan="prepaid", ends_at=IN_A_WEEK, committed_tokens=1000)
    renewal = f"/contracts/{customer.contract['id']}/renewal"
    following = await api.post(renewal, {"renew": True, "plan": "on_demand", "committed_gpu_hours": 0})
    assert [following[name] for name in ("plan", "overage", "committed_tokens")] == ["on_demand", "contract", 0]
    await api.post(f"/contracts/{following['id']}/cancel")
    same = await api.post(renewal, {"renew": True})
    assert [same[name] for name in ("plan", "overage", "committed_tokens")] == ["prepaid", "block", 1000]


async def test_end_of_a_renewed_contract_stays_until_its_renewal_is_cancelled(api: Api, clock: ManualClock) -> None:
    """It could be moved back, and the renewal began months later."""
    signed = await sign_contract(api, (await make_customer(api))["id"], ends_at=IN_A_WEEK)
    path = f"/contracts/{signed['id']}"
    following = await api.post(f"{path}/renewal", {"renew": True})
    sooner = {"ends_at": (clock.now + timedelta(days=2)).isoformat()}
    for door in ("end", "amendments/preview"):
        problem = await api.post(f"{path}/{door}", sooner, expect=422)
        assert [problem["errors"][0]["field"], following["id"] in problem["detail"]] == ["ends_at", True]
    await api.post(f"/contracts/{following['id']}/cancel")
    await api.post(f"{path}/end", sooner)
    again = await api.post(f"{path}/renewal", {"renew": True})
    assert again["starts_at"] == (await api.get(path))["ends_at"]


async def test_contract_that_renews_itself_is_renewed_a_week_before_its_end_and_once(
    api: Api, system: System, clock: ManualClock
) -> None:
    ends_at = (START + timedelta(days=40)).isoformat()
    signed = await sign_contract(api, (await make_customer(api))["id"], ends_at=ends_at, auto_renew=True)
    for days in (0, 10, 0, 23, 0, 6):
        clock.advance(days=days)
        await attend(system, signed["id"])
    assert await read_kinds(api, signed["id"]) == ["signed", "end_near", "end_near", "renewed", "end_near"]
    following, _first = (await api.get("/contracts", customer_id=signed["customer_id"]))["data"]
    assert (following["renewed_from_id"], following["auto_renew"]) == (signed["id"], True)
    assert await system_finds_ending(system) == [signed["id"]]


async def system_finds_ending(system: System) -> list[str]:
    async with system.work() as work:
        return await contracts.list_ending(work)


async def test_declined_renewal_lets_the_contract_end(api: Api, system: System, clock: ManualClock) -> None:
    signed = await sign_contract(api, (await make_customer(api))["id"], ends_at=IN_A_WEEK, auto_renew=True)
    for _ in range(2):
        declined = await api.post(f"/contracts/{signed['id']}/renewal", {"renew": False})
        assert declined["auto_renew"] is False
    await attend(system, signed["id"])
    assert await read_kinds(api, signed["id"]) == ["signed", "renewal_declined", "end_near"]


async def test_contract_without_an_end_is_not_renewed(api: Api) -> None:
    signed = await sign_contract(api, (await make_customer(api))["id"])
    await api.post(f"/contracts/{signed['id']}/renewal", {"renew": True}, expect=409)


async def test_contract_ends_at_a_moment_to_come_and_its_grants_with_it(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    path = f"/contracts/{customer.contract['id']}/end"
    for moment in (START, START - timedelta(days=1), START + timedelta(days=9999)):
        problem = await api.post(path, {"ends_at": moment.isoformat()}, expect=422)
        assert problem["errors"][0]["field"] == "ends_at"
    ended = await api.post(path, {"ends_at": IN_A_WEEK})
    assert ended["status"] == "active"
    clock.advance(days=7)
    assert (await api.get(f"/contracts/{customer.contract['id']}"))["status"] == "ended"
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 0
    await submit_job(api, customer.dataset["id"], customer_id=customer.id, expect=409)
    await api.post(path, {"ends_at": (clock.now + timedelta(days=1)).isoformat()}, expect=409)


@pytest.mark.parametrize(
    ("terms", "hours"),
    [({"plan": "on_demand"}, 0), ({"plan": "long_term", "committed_gpu_hours": 2000}, 2000)],
)
async def test_contract_that_was_never_used_is_cancelled_with_its_grants(
    api: Api, system: System, terms: dict[str, Any], hours: int
) -> None:
    customer = await make_ready_customer(api, contract_number="HT-1", **terms)
    contract = customer.contract["id"]
    assert (await read_balance(system, contract)).available_gpu_seconds == hours * HOUR
    for _ in range(2):
        assert (await api.post(f"/contracts/{contract}/cancel"))["status"] == "cancelled"
    assert (await read_balance(system, contract)).available_gpu_seconds == 0
    await submit_job(api, customer.dataset["id"], customer_id=customer.id, expect=409)
    await sign_contract(api, customer.id, contract_number="HT-1")
    assert await read_kinds(api, contract) == ["signed", "cancelled"]
    assert await broken_rules(system) == {}


async def test_contract_whose_advance_is_not_paid_is_cancelled_with_its_invoice(api: Api, system: System) -> None:
    signed = await sign_contract(api, (await make_customer(api))["id"], plan="prepaid", committed_gpu_hours=500)
    await api.post(f"/contracts/{signed['id']}/cancel")
    assert (await api.get(f"/invoices/{signed['advance_invoice_id']}"))["status"] == "void"
    assert await broken_rules(system) == {}


async def test_contract_that_is_used_held_or_paid_is_not_cancelled(api: Api, system: System) -> None:
    paid = await make_ready_customer(api, plan="prepaid")
    problem = await api.post(f"/contracts/{paid.contract['id']}/cancel", expect=409)
    assert problem["invoice_id"] == paid.contract["advance_invoice_id"]
    held = await make_ready_customer(api)
    job = await start_job(system, held, gpu_seconds=HOUR)
    await api.post(f"/contracts/{held.contract['id']}/cancel", expect=409)
    await report_usage(system, job, gpu_seconds=10)
    await api.post(f"/contracts/{held.contract['id']}/cancel", expect=409)
    assert (await api.get(f"/contracts/{held.contract['id']}"))["status"] == "active"


async def test_budget_is_told_at_half_four_fifths_and_the_whole_of_it_once_a_month(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, monthly_budget="13.60", budget_hard_stop=False)
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
    told = []
    for seconds in (HOUR // 2, HOUR // 2, HOUR // 2, HOUR, HOUR):
        await report_usage(system, job, gpu_seconds=seconds, tokens=0)
        events = (await api.get(f"/contracts/{customer.contract['id']}/events", kind="budget_used"))["data"]
        told.append([event["data"]["percent"] for event in reversed(events)])
    assert told == [[], [50], [50], [50, 80, 100], [50, 80, 100]]
    balance = await api.get(f"/contracts/{customer.contract['id']}/balance")
    assert (balance["used_money"]["amount"], balance["budget_left"]["amount"]) == ("23.80", "0.00")
    clock.advance(days=30)
    await report_usage(system, job, gpu_seconds=HOUR, tokens=0)
    events = (await api.get(f"/contracts/{customer.contract['id']}/events", kind="budget_used"))["data"]
    assert [event["data"]["month"] for event in events] == ["2026-12", "2026-11", "2026-11", "2026-11"]
    assert await broken_rules(system) == {}


async def test_job_is_refused_where_more_would_be_owed_than_the_credit_limit(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, credit_limit="7.30", tax_mode="on_top", tax_rate="0.06")
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=HOUR, tokens=0)
    problem = await submit_job(api, customer.dataset["id"], customer_id=customer.id, expect=402)
    assert problem["type"] == "/problems/credit-limit-exceeded"
    assert (problem["credit_limit"], problem["owed"]) == ("7.30", "7.21")
    await amend_contract(api, customer.contract["id"], credit_limit="7.40")
    await submit_job(api, customer.dataset["id"], customer_id=customer.id)


async def test_unpaid_advance_is_not_owed_on_credit(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid", credit_limit="5.00", overage="contract")
    await submit_job(api, customer.dataset["id"], customer_id=customer.id)

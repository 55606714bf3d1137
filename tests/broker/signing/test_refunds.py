"""What is unused of hours that were paid is owed back, at the price and with the tax that were paid; never twice."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from broker.daemon.sweeps import Sweeps
from broker.ledger import service as ledger
from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.running_jobs import HOUR, broken_rules, read_balance, report_usage, settle, start_job


async def grant_of(api: Api, customer: Customer) -> Any:
    return (await api.get("/grants", contract_id=customer.contract["id"]))["data"][-1]


async def accounts_of(system: System, contract_id: str) -> dict[str, int]:
    """Read the accounts of money of a contract, in micro-yuan, those that stand at zero left out."""
    async with system.work() as work:
        rows = await ledger.list_accounts(work, contract_id)
        kinds = ("cash", "deferred_revenue", "refunds", "breakage", "tax", "revenue")
        sums = {kind: sum(row.balance for row in rows if row.kind == kind) for kind in kinds}
        return {kind: amount for kind, amount in sums.items() if amount}


async def test_unused_part_is_owed_back_at_its_price_and_what_jobs_hold_stays(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    job = await start_job(system, customer, gpu_seconds=100 * HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=40 * HOUR + 1)
    grant = await grant_of(api, customer)
    refund = await api.post(f"/grants/{grant['id']}/refund")
    assert (refund["gpu_hours"], refund["total"]["amount"]) == ("400.0000", "2080.00")
    after = refund["grant"]
    assert (after["status"], after["left"], after["held"], after["gone"]) == ("active", 0, 60 * HOUR - 1, 400 * HOUR)
    assert await accounts_of(system, customer.contract["id"]) == {
        "cash": 2_600_000_000,
        "deferred_revenue": -520_000_000,
        "refunds": -2_080_000_000,
    }
    await api.post(f"/grants/{grant['id']}/refund", expect=409)
    await settle(system, job)
    again = await api.post(f"/grants/{grant['id']}/refund")
    # 59 hours, 59 minutes and 59 seconds at 5.2 are 311.99855…, rounded once.
    assert (again["quantity"], again["total"]["amount"]) == (60 * HOUR - 1, "312.00")
    assert again["grant"]["status"] == "emptied"
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 0
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(("mode", "net", "tax"), [("on_top", "2600.00", "156.00"), ("included", "2452.83", "147.17")])
async def test_refund_gives_back_the_tax_that_was_paid(api: Api, system: System, mode: str, net: str, tax: str) -> None:
    customer = await make_ready_customer(api, plan="prepaid", tax_mode=mode, tax_rate="0.06")
    refund = await api.post(f"/grants/{(await grant_of(api, customer))['id']}/refund")
    assert (refund["net"]["amount"], refund["tax"]["amount"]) == (net, tax)
    balances = await accounts_of(system, customer.contract["id"])
    assert balances == {"cash": balances["cash"], "refunds": -balances["cash"]}


async def test_gifts_and_what_was_not_paid_are_never_refunded(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    committed = await grant_of(api, customer)
    body = {"contract_id": customer.contract["id"], "kind": "promotional", "gpu_hours": "5", "reason": "welcome"}
    gift = await api.post("/grants", body, expect=201)
    order = await api.post("/purchases", {"contract_id": customer.contract["id"], "gpu_hours": "10"}, expect=201)
    for grant_id, why in ((committed["id"], "not paid ahead"), (gift["id"], "gifts"), (order["grant_id"], "not paid")):
        problem = await api.post(f"/grants/{grant_id}/refund", expect=409)
        assert why in problem["detail"]
    await api.post(f"/invoices/{order['invoice_id']}/pay")
    clock.now = START + timedelta(days=366)
    assert "expired" in (await api.post(f"/grants/{order['grant_id']}/refund", expect=409))["detail"]
    await Sweeps(system).expire_grants()
    assert (await accounts_of(system, customer.contract["id"]))["breakage"] == -40_000_000
    assert await broken_rules(system) == {}


async def test_refunds_in_many_parts_come_to_what_was_paid(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid", tax_mode="included", tax_rate="0.13")
    grant = await grant_of(api, customer)
    jobs = [await start_job(system, customer, gpu_seconds=3, tokens=0) for _each in range(7)]  # of 0.43 fen each
    refunds = [await api.post(f"/grants/{grant['id']}/refund")]
    for job in jobs:
        await settle(system, job)
        refunds.append(await api.post(f"/grants/{grant['id']}/refund"))
    assert sum(Decimal(each["total"]["amount"]) for each in refunds) == Decimal("2600.00")
    balances = await accounts_of(system, customer.contract["id"])
    assert balances == {"cash": 2_600_000_000, "refunds": -2_600_000_000}
    assert await broken_rules(system) == {}


async def test_refund_and_void_of_a_grant_are_told_as_events_and_no_longer_count_as_granted(api: Api) -> None:
    customer = await make_ready_customer(api, plan="prepaid", tax_mode="on_top", tax_rate="0.06")
    contract_id = customer.contract["id"]
    bought = await grant_of(api, customer)
    gift = {"contract_id": contract_id, "kind": "promotional", "gpu_hours": "7", "reason": "welcome"}
    given = await api.post("/grants", gift, expect=201)
    assert await read_granted(api, contract_id) == (507 * HOUR, "100.0")
    await api.post(f"/grants/{bought['id']}/refund")
    assert await read_granted(api, contract_id) == (7 * HOUR, "100.0")
    await api.post(f"/grants/{given['id']}/void", {"reason": "by mistake"})
    assert await read_granted(api, contract_id) == (0, None)
    await api.post(f"/grants/{given['id']}/void", {"reason": "again"})
    voided, refunded, *_signed = (await api.get(f"/contracts/{contract_id}/events"))["data"]
    facts = {"grant_id": bought["id"], "unit": "gpu_seconds", "quantity": 500 * HOUR}
    sums = {"net": "2600.00", "tax": "156.00", "total": "2756.00"}
    assert (refunded["kind"], refunded["data"]) == ("grant_refunded", facts | sums)
    facts = {"grant_id": given["id"], "unit": "gpu_seconds", "unused": 7 * HOUR, "reason": "by mistake"}
    assert (voided["kind"], voided["data"]) == ("grant_voided", facts)


async def read_granted(api: Api, contract_id: str) -> tuple[int, str | None]:
    """Read what of hours a contract's coverage calls granted, and which share of that is left."""
    hours = (await api.get(f"/contracts/{contract_id}/coverage"))["meters"][0]
    return hours["granted"], hours["left_percent"]


CREDITED = {"reason": "goodwill", "lines": [{"position": 1, "amount": "2000.00"}]}


async def test_credit_notes_and_refunds_together_give_back_what_was_paid_and_no_more(api: Api, system: System) -> None:
    """A note of the whole and a refund of the whole had given it back twice."""
    customer = await make_ready_customer(api, plan="prepaid", tax_mode="on_top", tax_rate="0.06")
    invoice_id = customer.contract["advance_invoice_id"]
    await api.post("/credit-notes", {"invoice_id": invoice_id, **CREDITED}, expect=201)
    refund = await api.post(f"/grants/{(await grant_of(api, customer))['id']}/refund")
    assert (refund["net"]["amount"], refund["tax"]["amount"]) == ("600.00", "36.00")
    assert await accounts_of(system, customer.contract["id"]) == {"cash": 2_756_000_000, "refunds": -636_000_000}
    more = {**CREDITED, "lines": [{"position": 1, "amount": "0.01"}]}
    problem = await api.post("/credit-notes", {"invoice_id": invoice_id, **more}, expect=422)
    assert problem["errors"][0]["field"] == "lines"
    assert await broken_rules(system) == {}


async def test_hours_whose_price_was_credited_leave_their_grant_for_nothing(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    lines = [{"position": 1, "amount": "2600.00"}]
    note = {"invoice_id": customer.contract["advance_invoice_id"], "reason": "signed by mistake", "lines": lines}
    await api.post("/credit-notes", note, expect=201)
    grant = await grant_of(api, customer)
    refund = await api.post(f"/grants/{grant['id']}/refund")
    assert (refund["quantity"], refund["total"]["amount"], refund["grant"]["left"]) == (500 * HOUR, "0.00", 0)
    assert await accounts_of(system, customer.contract["id"]) == {"cash": 2_600_000_000}
    assert await broken_rules(system) == {}

"""Balances as of a moment of booking, and the accounts and entries that they are added up from."""

from datetime import datetime
from typing import Any

from broker.system import System
from tests.broker.billing.invoicing import bill
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, amend_contract, make_ready_customer
from tests.broker.running_jobs import HOUR, report_usage, settle, start_job

AS_BOOKED = {"as_of"}


async def test_balance_of_every_moment_is_what_it_was_then(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid", overage="contract", monthly_budget="50.00")
    path = f"/contracts/{customer.contract['id']}/balance"
    seen: list[tuple[datetime, Any]] = []

    async def note() -> None:
        seen.append((clock.now, await api.get(path)))
        clock.advance(minutes=1)

    await note()
    gift = {"contract_id": customer.contract["id"], "kind": "promotional", "tokens": 900, "reason": "A present"}
    await api.post("/grants", gift, expect=201)
    await note()
    assert (seen[-1][1]["granted_tokens"], seen[-1][1]["available_tokens"]) == (900, 900)
    job = await start_job(system, customer, gpu_seconds=501 * HOUR, tokens=1000)
    await note()
    await report_usage(system, job, gpu_seconds=500 * HOUR + 1800, tokens=777)
    await note()
    await settle(system, job)
    await note()
    clock.advance(days=30)
    await bill(api, customer, "2026-11")
    await note()
    await amend_contract(api, customer.contract["id"], monthly_budget="80.00")
    await note()
    assert [balance["monthly_budget"]["amount"] for _moment, balance in seen[-2:]] == ["50.00", "80.00"]
    for moment, balance in seen:
        assert without(await api.get(path, as_of=moment.isoformat())) == without(balance)
    before = await api.get(path, as_of="2026-01-01T00:00:00Z")
    assert (before["granted_gpu_hours"], before["used_money"]["amount"]) == ("0.0000", "0.00")


def without(balance: Any) -> Any:
    return {name: value for name, value in balance.items() if name not in AS_BOOKED}


async def test_moment_that_is_not_over_or_has_no_time_zone_has_no_balance(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    for path in (f"/contracts/{customer.contract['id']}/balance", "/ledger/accounts"):
        for as_of in ("2026-11-10T04:00:01Z", "2026-11-10T04:00:00", "yesterday", "2026-11-10T04:00:00Z\0"):
            problem = await api.get(path, as_of=as_of, expect=422)
            assert problem["errors"][0]["field"] == "as_of", as_of
        await api.get(path, as_of=clock.now.isoformat())


async def test_accounts_and_entries_tell_where_an_amount_came_from(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    contract = {"contract_id": customer.contract["id"]}
    signed = clock.now
    clock.advance(days=1)
    await settle(system, await start_job(system, customer, gpu_seconds=HOUR))
    (deferred,) = (await api.get("/ledger/accounts", kind="deferred_revenue", **contract))["data"]
    assert deferred["amount"] == {"amount": "-2600.00", "currency": "CNY"}
    (entry,) = (await api.get("/ledger/entries", account_id=deferred["id"]))["data"]
    assert (entry["kind"], entry["quantity"]) == ("advance_invoiced", 2_600_000_000)
    assert entry["credit_account_id"] == deferred["id"]
    assert (await api.get("/ledger/entries", transfer_id=entry["transfer_id"]))["data"] == [entry]
    held = {"kind": "held", "unit": "gpu_seconds", **contract}
    assert [each["balance"] for each in (await api.get("/ledger/accounts", **held))["data"]] == [0]
    then = (await api.get("/ledger/accounts", as_of=signed.isoformat(), **contract))["data"]
    assert {each["kind"] for each in then if each["balance"]} == {
        "issued",
        "granted",
        "cash",
        "deferred_revenue",
    }


async def test_entries_of_a_contract_come_in_pages_and_add_up_to_its_balances(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    await make_ready_customer(api, plan="prepaid")
    await report_usage(system, await start_job(system, customer), gpu_seconds=60, tokens=10)
    contract = {"contract_id": customer.contract["id"]}
    sums: dict[str, int] = {}
    cursor: dict[str, str] = {}
    while True:
        page = await api.get("/ledger/entries", limit=2, **contract, **cursor)
        for entry in page["data"]:
            assert entry["contract_id"] == customer.contract["id"]
            sums[entry["debit_account_id"]] = sums.get(entry["debit_account_id"], 0) + entry["quantity"]
            sums[entry["credit_account_id"]] = sums.get(entry["credit_account_id"], 0) - entry["quantity"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    accounts = (await api.get("/ledger/accounts", limit=100, **contract))["data"]
    assert {each["id"]: each["balance"] for each in accounts} == sums

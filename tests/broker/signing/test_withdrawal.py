"""Amendments over the API that are planned for a date: listed, in effect by their moment, and withdrawn before it."""

from datetime import timedelta
from typing import Any

import pytest

from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, amend_contract, make_ready_customer, sign_contract
from tests.broker.running_jobs import HOUR, broken_rules, read_balance, report_usage, start_job

LATER = START + timedelta(days=10)
DECEMBER = "2026-11-30T16:00:00Z"
TAXED = {"tax_mode": "on_top", "tax_rate": "0.06"}


async def plan(api: Api, contract_id: str, at: str = LATER.isoformat(), **changes: Any) -> Any:
    return await amend_contract(api, contract_id, effective_at=at, **changes)


async def withdraw(api: Api, amendment: Any, expect: int = 200) -> Any:
    path = f"/contracts/{amendment['contract_id']}/amendments/{amendment['id']}/withdraw"
    return await api.post(path, {"reason": "a mistake"}, expect=expect)


async def read_state(api: Api, system: System, contract_id: str) -> Any:
    """Read all that an amendment may touch."""
    grants = (await api.get("/grants", contract_id=contract_id))["data"]
    living = [grant for grant in grants if grant["status"] in {"active", "pending"}]
    assert await broken_rules(system) == {}
    return await api.get(f"/contracts/{contract_id}"), living, (await read_balance(system, contract_id))


@pytest.mark.parametrize(
    ("signed", "changes"),
    [
        ({"plan": "prepaid"}, {"committed_gpu_hours": 1000, "ends_at": "2028-06-01T00:00:00Z"}),
        ({"plan": "prepaid"}, {"plan": "on_demand", "unused_grants": "expire"}),
        ({"plan": "prepaid"}, {"ends_at": "2026-12-24T00:00:00Z", "contract_number": "HT-9"}),
        ({}, {"plan": "long_term", "committed_gpu_hours": 2000}),
        (
            {"monthly_budget": "5"},
            {
                "effective_at": DECEMBER,
                "monthly_budget": "9",
                "billing_day": 15,
                "tax_mode": "on_top",
                "tax_rate": "0.06",
            },
        ),
    ],
)
async def test_what_is_withdrawn_leaves_the_contract_as_it_was(
    api: Api, system: System, signed: dict[str, Any], changes: dict[str, Any]
) -> None:
    customer = await make_ready_customer(api, **signed)
    contract = customer.contract["id"]
    before = await read_state(api, system, contract)
    planned = await amend_contract(api, contract, **{"effective_at": LATER.isoformat(), **changes})
    assert planned["status"] == "planned"
    for _ in range(2):
        withdrawn = await withdraw(api, planned)
    assert (withdrawn["status"], withdrawn["withdrawn_at"]) == ("withdrawn", "2026-11-10T04:00:00Z")
    assert await read_state(api, system, contract) == before
    [listed] = (await api.get(f"/contracts/{contract}/amendments"))["data"]
    assert listed == withdrawn
    kinds = [event["kind"] for event in (await api.get(f"/contracts/{contract}/events"))["data"]]
    kinds = [kind for kind in kinds if not kind.startswith("grant_")]  # what became of added hours is told beside
    assert kinds == ["amendment_withdrawn", "amended", "signed"]
    await amend_contract(api, contract, **{"effective_at": LATER.isoformat(), **changes})


async def test_hours_that_were_paid_for_are_refunded_where_their_amendment_is_withdrawn(
    api: Api, system: System
) -> None:
    customer = await make_ready_customer(api, plan="prepaid", ends_at="2026-12-10T04:00:00Z")
    planned = await plan(api, customer.contract["id"], committed_gpu_hours=1000)
    await api.post(f"/invoices/{planned['invoice_id']}/pay")
    await withdraw(api, planned)
    [event] = (await api.get(f"/contracts/{customer.contract['id']}/events", kind="amendment_withdrawn"))["data"]
    assert event["data"]["refunded"] == planned["amount"]["amount"]
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 500 * HOUR
    assert await broken_rules(system) == {}


async def test_hours_that_were_refunded_before_are_not_refunded_again(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    planned = await plan(api, customer.contract["id"], committed_gpu_hours=1000)
    await api.post(f"/invoices/{planned['invoice_id']}/pay")
    await api.post(f"/grants/{planned['grant_id']}/refund")
    assert (await withdraw(api, planned))["status"] == "withdrawn"
    [event] = (await api.get(f"/contracts/{customer.contract['id']}/events", kind="amendment_withdrawn"))["data"]
    assert event["data"]["refunded"] is None
    assert await broken_rules(system) == {}


async def test_what_took_effect_or_is_built_upon_is_not_withdrawn(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    contract = customer.contract["id"]
    first = await plan(api, contract, committed_gpu_hours=3000)
    second = await plan(api, contract, "2026-12-05T00:00:00Z", overage="on_demand")
    refused = await withdraw(api, first, expect=409)
    assert second["id"] in refused["detail"]
    other = await make_ready_customer(api)
    await withdraw(api, {**first, "contract_id": other.contract["id"]}, expect=404)
    await withdraw(api, second)
    clock.now = LATER
    assert (await withdraw(api, first, expect=409))["status_before"] == "in_effect"


async def test_end_at_which_a_renewal_begins_is_not_given_back(api: Api) -> None:
    """A guard: the contract went back to its former end, and its renewal began months later."""
    customer = await make_ready_customer(api, ends_at="2027-03-01T00:00:00Z")
    contract = customer.contract["id"]
    planned = await plan(api, contract, ends_at="2027-06-01T00:00:00Z")
    other = await plan(api, contract, purchase_order="PO-2")
    renewal = await api.post(f"/contracts/{contract}/renewal", {"renew": True})
    assert renewal["starts_at"] == "2027-06-01T00:00:00Z"
    refused = await withdraw(api, planned, expect=409)
    assert renewal["id"] in refused["detail"]
    await withdraw(api, other)
    await api.post(f"/contracts/{renewal['id']}/cancel")
    await withdraw(api, planned)
    assert (await api.get(f"/contracts/{contract}"))["ends_at"] == "2027-03-01T00:00:00Z"


async def test_term_that_was_counted_from_a_payment_stays(api: Api, clock: ManualClock) -> None:
    """A guard: hours that were paid since an amendment got the end that was planned when they were ordered."""
    customer = await make_ready_customer(api, plan="prepaid")
    contract = customer.contract["id"]
    order = await api.post("/purchases", {"contract_id": contract, "gpu_hours": "9", "term_months": 1}, expect=201)
    planned = await plan(api, contract, overage="contract", unused_grants="expire")
    clock.advance(days=2)
    await api.post(f"/invoices/{order['invoice_id']}/pay")
    await withdraw(api, planned)
    grants = {each["id"]: each for each in (await api.get("/grants", contract_id=contract))["data"]}
    assert grants[order["grant_id"]]["expires_at"] == "2026-12-12T04:00:00Z"


async def test_a_number_belongs_to_one_contract_at_a_time_also_at_dates_to_come(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, contract_number="HT-1")
    contract = customer.contract["id"]
    planned = await plan(api, contract, contract_number="HT-2")
    taken = {"starts_at": (LATER + timedelta(days=1)).isoformat()}
    refused = await sign_contract(api, customer.id, contract_number="HT-2", expect=409, **taken)
    assert refused["contract_id"] == contract
    free = {"starts_at": LATER.isoformat()}
    other = await sign_contract(api, customer.id, contract_number="HT-1", **free)
    assert (await withdraw(api, planned, expect=409))["contract_id"] == other["id"]
    await sign_contract(
        api, customer.id, contract_number="HT-2", ends_at=LATER.isoformat(), starts_at=START.isoformat()
    )
    found = [(await api.get("/contracts", contract_number=number))["data"] for number in ("HT-1", "HT-2")]
    assert [len(each) for each in found] == [2, 2]
    clock.now = LATER
    assert (await api.get(f"/contracts/{contract}"))["contract_number"] == "HT-2"


async def test_a_month_is_cut_by_another_billing_day_and_billed_once(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    contract = customer.contract["id"]
    await plan(api, contract, DECEMBER, billing_day=15, **TAXED)
    job = await start_job(system, customer, gpu_seconds=9 * HOUR, tokens=0)
    for days in (1, 21, 65, 66):  # in November, twice in the long December, and in January by its new day
        clock.now = START + timedelta(days=days)
        await report_usage(system, job, gpu_seconds=HOUR, tokens=0)
    totals = []
    for month in ("2026-11", "2026-12"):
        invoice = await api.post("/invoices", {"contract_id": contract, "month": month}, expect=201)
        totals.append((invoice["total"]["amount"], invoice["tax"]["amount"]))
    assert totals == [("6.80", "0.00"), ("14.42", "0.82")]
    assert await broken_rules(system) == {}


async def test_a_card_is_pinned_or_followed_from_a_date_on(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, rate_card="newest")
    contract = customer.contract["id"]
    await plan(api, contract, rate_card_version="2026-01-01")
    await plan(api, contract, (LATER + timedelta(days=5)).isoformat(), rate_card="newest")
    prices = []
    for days in (0, 10, 15):
        clock.now = START + timedelta(days=days)
        prices.append((await api.get(f"/contracts/{contract}"))["gpu_hour_price"])
    assert prices == ["3.4", "6.8", "3.4"]

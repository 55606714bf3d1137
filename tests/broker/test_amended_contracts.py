"""Amendments over the API: shown, confirmed as shown, and what they do to prices, hours, budgets and grants."""

from datetime import timedelta
from typing import Any

import pytest

from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, Customer, amend_contract, make_ready_customer, sign_contract
from tests.broker.running_jobs import HOUR, broken_rules, read_balance, report_usage, start_job


async def read_lines(api: Api, contract_id: str, month: str = "2026-11") -> list[tuple[str, str, int]]:
    invoice = await api.post("/invoices", {"contract_id": contract_id, "month": month}, expect=201)
    return [(line["meter"], line["unit_price"], line["quantity"]) for line in invoice["lines"]]


async def test_preview_shows_what_is_replaced_and_what_it_costs_and_writes_nothing(api: Api, system: System) -> None:
    customer = await make_ready_customer(
        api, plan="prepaid", ends_at="2026-11-19T08:00:00Z", starts_at="2026-11-01T00:00:00Z"
    )
    contract = customer.contract["id"]
    changes = {"committed_gpu_hours": 1000, "overage": "on_demand"}
    shown = await api.post(f"/contracts/{contract}/amendments/preview", changes)
    assert {each["field"]: (each["before"], each["after"]) for each in shown["changes"]} == {
        "committed_gpu_hours": (500, 1000),
        "overage": ("block", "on_demand"),
    }
    assert (shown["added_gpu_hours"], shown["amount"]["amount"], shown["due_now"]) == ("250.0000", "1300.00", True)
    assert [each["unused"] for each in shown["unused_grants"]] == [500 * HOUR]
    assert (await api.get(f"/contracts/{contract}"))["committed_gpu_hours"] == 500
    assert (await api.get(f"/contracts/{contract}/amendments"))["data"] == []


async def test_added_hours_are_an_advance_that_is_paid_before_they_are_used(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid", ends_at="2026-11-19T08:00:00Z")
    amended = await amend_contract(api, customer.contract["id"], committed_gpu_hours=1000)
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 500 * HOUR
    invoice = await api.post(f"/invoices/{amended['invoice_id']}/pay")
    assert invoice["total"]["amount"] == amended["amount"]["amount"] == "1300.00"
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 750 * HOUR
    [event] = (await api.get(f"/contracts/{customer.contract['id']}/events", kind="amended"))["data"]
    assert event["data"]["amendment_id"] == amended["id"]
    assert await broken_rules(system) == {}


async def test_plan_changes_in_the_middle_of_a_month_and_usage_is_priced_by_its_moment(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    contract, job = customer.contract["id"], None
    changes = {"plan": "long_term", "committed_gpu_hours": 2000, "effective_at": "2026-11-10T06:00:00Z"}
    await amend_contract(api, contract, **changes)
    job = await start_job(system, customer, gpu_seconds=HOUR)
    clock.advance(hours=3)
    for hour in (1, 3):  # what was used before is reported after
        await report_usage(system, job, gpu_seconds=HOUR, ended_at=START + timedelta(hours=hour))
    assert sorted(await read_lines(api, contract)) == [("gpu_seconds", "4", HOUR), ("gpu_seconds", "6.8", HOUR)]
    assert (await api.get(f"/contracts/{contract}"))["queue"] == f"dedicated:{contract}"
    assert f"dedicated:{contract}" in {queue["name"] for queue in (await api.get("/queues"))["data"]}
    assert await broken_rules(system) == {}


async def test_sum_that_was_shown_is_the_sum_that_is_confirmed_within_an_hour(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid", ends_at="2026-11-19T08:00:00Z")
    path, body = f"/contracts/{customer.contract['id']}/amendments", {"committed_gpu_hours": 1000}
    shown = await api.post(f"{path}/preview", body)
    clock.advance(minutes=59)
    amended = await api.post(path, {**body, "preview": shown["preview"]}, expect=201)
    assert amended["amount"] == shown["amount"] == {"amount": "1300.00", "currency": "CNY"}
    later = await api.post(f"{path}/preview", {"committed_gpu_hours": 1500})
    assert later["amount"]["amount"] < "1300.00"
    clock.advance(minutes=61)
    for token in (later["preview"], "x", "ffff-ffff", "f" * 64):
        problem = await api.post(path, {"committed_gpu_hours": 1500, "preview": token}, expect=409)
        assert problem["type"] == "/problems/preview-stale"


async def test_what_was_shown_is_what_is_confirmed_or_nothing(api: Api) -> None:
    customer = await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    path = f"/contracts/{customer.contract['id']}/amendments"
    shown = await api.post(f"{path}/preview", {"committed_gpu_hours": 3000})
    for body in ({"committed_gpu_hours": 4000}, {"committed_gpu_hours": 3000, "unused_grants": "expire"}):
        problem = await api.post(path, {**body, "preview": shown["preview"]}, expect=409)
        assert problem["type"] == "/problems/preview-stale"
    await amend_contract(api, customer.contract["id"], overage="block")
    await api.post(path, {"committed_gpu_hours": 3000, "preview": shown["preview"]}, expect=409)
    assert (await api.get(f"/contracts/{customer.contract['id']}"))["committed_gpu_hours"] == 2000
    problem = await api.post(path, {"committed_gpu_hours": 3000}, expect=422)
    assert problem["errors"][0]["field"] == "preview"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"effective_at": "2026-10-31T00:00:00Z", "overage": "block"}, "effective_at"),
        ({"effective_at": "2026-11-09T00:00:00Z", "monthly_budget": "5"}, "effective_at"),
        ({"committed_gpu_hours": -1}, "committed_gpu_hours"),
        ({"committed_gpu_hours": None}, "committed_gpu_hours"),
        ({"committed_gpu_hours": 10**12}, "committed_gpu_hours"),
        ({"overage": "bill"}, "overage"),
        ({"monthly_budget": "NaN"}, "monthly_budget"),
        ({"monthly_budget": "0"}, "monthly_budget"),
        ({"contract_number": "a\tb"}, "contract_number"),
        ({"time_zone": "UTC"}, "effective_at"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"billing_day": 29}, "billing_day"),
        ({"arrears": {"grace_days": -1}}, "arrears.grace_days"),
        ({"arrears": {"grace_days": 10**9}}, "arrears.grace_days"),
        ({"tax_rate": "NaN"}, "tax_rate"),
        ({"rate_card_version": "x\0"}, "rate_card_version"),
        ({"starts_at": "2026-11-01T00:00:00Z"}, "starts_at"),
        ({"committed_tokens": 5}, "committed_tokens"),
        ({"currency": "USD"}, "currency"),
        ({"plan": "prepaid", "committed_gpu_hours": 499}, "committed_gpu_hours"),
    ],
)
async def test_bad_amendment_is_refused_by_its_field_and_writes_nothing(
    api: Api, changes: dict[str, Any], field: str
) -> None:
    customer = await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    problem = await amend_contract(api, customer.contract["id"], expect=422, **changes)
    assert problem["errors"][0]["field"] == field
    after = await api.get(f"/contracts/{customer.contract['id']}")
    assert after == {k: v for k, v in customer.contract.items() if not k.endswith("_invoice_id")}


async def spend(api: Api, system: System, **terms: Any) -> Customer:
    """Use a GPU-hour at 6.80 under a budget."""
    customer = await make_ready_customer(api, **terms)
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=HOUR, tokens=0)
    return customer


async def test_budget_is_raised_and_lowered_while_its_month_runs(api: Api, system: System) -> None:
    customer = await spend(api, system, monthly_budget="10")
    contract, left = customer.contract["id"], []
    for budget in ("20", "6.80", None, "7"):
        await amend_contract(api, contract, monthly_budget=budget)
        balance = await api.get(f"/contracts/{contract}/balance")
        left.append(balance["budget_left"] and balance["budget_left"]["amount"])
        assert await broken_rules(system) == {}
    assert left == ["13.20", "0.00", None, "0.20"]
    problem = await api.post(f"/contracts/{contract}/amendments/preview", {"monthly_budget": "6.79"})
    body = {"monthly_budget": "6.79", "preview": problem["preview"]}
    refused = await api.post(f"/contracts/{contract}/amendments", body, expect=422)
    assert refused["errors"][0]["field"] == "monthly_budget"


async def test_raised_budget_lets_more_be_charged_at_once(api: Api, system: System) -> None:
    customer = await spend(api, system, monthly_budget="10")
    await amend_contract(api, customer.contract["id"], monthly_budget="13.60")
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=2 * HOUR, tokens=0)
    assert await read_lines(api, customer.contract["id"]) == [
        ("gpu_seconds", "6.8", HOUR),
        ("gpu_seconds", "6.8", HOUR),
    ]


async def test_number_and_end_change_at_once_and_grants_go_with_the_end(api: Api) -> None:
    customer = await make_ready_customer(api, plan="prepaid", contract_number="HT-1")
    other = await sign_contract(api, customer.id, contract_number="HT-2")
    await amend_contract(api, customer.contract["id"], contract_number="HT-3", ends_at="2026-12-01T00:00:00Z")
    after = await api.get(f"/contracts/{customer.contract['id']}")
    assert (after["contract_number"], after["ends_at"]) == ("HT-3", "2026-12-01T00:00:00Z")
    [grant] = (await api.get("/grants", contract_id=customer.contract["id"]))["data"]
    assert grant["expires_at"] == "2026-12-01T00:00:00Z"
    path, body = f"/contracts/{customer.contract['id']}/amendments", {"contract_number": "HT-2"}
    shown = await api.post(f"{path}/preview", body)
    problem = await api.post(path, {**body, "preview": shown["preview"]}, expect=409)
    assert problem["contract_id"] == other["id"]


async def test_what_ended_at_just_that_moment_was_rated_before_an_amendment(
    api: Api, system: System, clock: ManualClock
) -> None:
    """A guard: two uses that ended at one moment were priced by the terms before it and after it."""
    customer = await make_ready_customer(api)
    await report_usage(system, await start_job(system, customer), gpu_seconds=HOUR)
    used_at = clock.now
    clock.advance(hours=1)
    change = {"rate_card": "newest", "effective_at": used_at.isoformat()}
    problem = await amend_contract(api, customer.contract["id"], **change, expect=422)
    assert problem["errors"][0]["field"] == "effective_at"
    change["effective_at"] = (used_at + timedelta(microseconds=1)).isoformat()
    await amend_contract(api, customer.contract["id"], **change)


async def test_unused_grants_are_refunded_as_the_preview_shows(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    path = f"/contracts/{customer.contract['id']}/amendments"
    body = {"plan": "on_demand", "unused_grants": "refund"}
    shown = await api.post(f"{path}/preview", body)
    assert shown["refund"]["amount"] == "2600.00"
    later = {**body, "effective_at": "2026-11-20T00:00:00Z"}
    problem = await api.post(f"{path}/preview", later, expect=422)
    assert problem["errors"][0]["field"] == "effective_at"
    await api.post(path, {**body, "preview": shown["preview"]}, expect=201)
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 0
    assert await broken_rules(system) == {}


async def test_unused_grants_expire_where_the_amendment_says_so(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    await amend_contract(api, customer.contract["id"], plan="on_demand", unused_grants="expire")
    clock.advance(seconds=1)
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 0
    kept = await make_ready_customer(api, plan="prepaid")
    await amend_contract(api, kept.contract["id"], plan="on_demand")
    assert (await read_balance(system, kept.contract["id"])).available_gpu_seconds == 500 * HOUR

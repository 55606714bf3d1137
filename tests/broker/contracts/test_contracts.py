"""Signing: what each plan asks for and gives; which contract a job runs under; rate cards that never change."""

from typing import Any

import pytest

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import (
    SIGNED_AT,
    Api,
    make_customer,
    make_ready_customer,
    sign_contract,
    sign_prepaid,
    submit_job,
)
from tests.broker.running_jobs import HOUR, broken_rules, read_balance

MISFITS = [
    ("prepaid", 499),
    ("prepaid", 0),
    ("long_term", 1999),
    ("on_demand", 1),
    ("prepaid", -500),
    ("prepaid", 10**30),
]
NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"overage": "block"}, "overage"),
    ({"overage": "bill"}, "overage"),
    ({"overage": "\0"}, "overage"),
    ({"billing_day": 0}, "billing_day"),
    ({"billing_day": 29}, "billing_day"),
    ({"time_zone": "Asia/Nowhere"}, "time_zone"),
    ({"time_zone": "UTC\0"}, "time_zone"),
    ({"ends_at": SIGNED_AT}, "ends_at"),
    ({"starts_at": "2025-12-31T15:59:59Z"}, "starts_at"),
    ({"starts_at": "2026-11-10T04:00:00"}, "starts_at"),
    ({"starts_at": "9999-12-31T23:00:00Z"}, "starts_at"),
    ({"monthly_budget": "0"}, "monthly_budget"),
    ({"monthly_budget": "0.0000001"}, "monthly_budget"),
    ({"monthly_budget": "NaN"}, "monthly_budget"),
    ({"tax_rate": "0.06"}, "tax_rate"),
    ({"tax_mode": "on_top"}, "tax_rate"),
    ({"tax_mode": "on_top", "tax_rate": "1"}, "tax_rate"),
    ({"tax_mode": "on_top", "tax_rate": "-0.06"}, "tax_rate"),
    ({"tax_mode": "included", "tax_rate": "0.06001"}, "tax_rate"),
    ({"tax_mode": "none", "tax_rate": "0"}, "tax_rate"),
    ({"tax_mode": "vat"}, "tax_mode"),
    ({"plan": "weekly"}, "plan"),
    ({"committed_tokens": 1}, "committed_tokens"),
    ({"committed_tokens": -1}, "committed_tokens"),
    ({"plan": "long_term", "committed_gpu_hours": 2000, "committed_tokens": 1}, "committed_tokens"),
    ({"contract_number": ""}, "contract_number"),
    ({"contract_number": "a\nb"}, "contract_number"),
    ({"contract_number": "n" * 65}, "contract_number"),
    ({"purchase_order": "  "}, "purchase_order"),
    ({"payment_days": -1}, "payment_days"),
    ({"payment_days": 10**20}, "payment_days"),
    ({"tax_mode": "on_top"}, "tax_rate"),
    ({"tax_rate": "0.06"}, "tax_rate"),
    ({"tax_mode": "on_top", "tax_rate": "1"}, "tax_rate"),
    ({"tax_mode": "on_top", "tax_rate": "NaN"}, "tax_rate"),
    ({"tax_mode": "on_top", "tax_rate": "-0.06"}, "tax_rate"),
    ({"credit_limit": "-1"}, "credit_limit"),
    ({"credit_limit": "Infinity"}, "credit_limit"),
    ({"arrears": {"grace_days": -1}}, "arrears.grace_days"),
    ({"arrears": {"grace": 1}}, "arrears.grace"),
    ({"price": "0.01"}, "price"),
]


async def test_commitment_that_does_not_fit_the_plan_is_refused_and_nothing_is_written(api: Api) -> None:
    customer = await make_customer(api)
    for plan, hours in MISFITS:
        problem = await sign_contract(api, customer["id"], plan=plan, committed_gpu_hours=hours, expect=422)
        assert problem["errors"][0]["field"] == "committed_gpu_hours", (plan, hours)
    assert (await api.get("/contracts"))["data"] == []
    assert (await api.get("/invoices"))["data"] == []


async def test_terms_that_make_no_sense_are_refused(api: Api) -> None:
    customer = await make_customer(api)
    for fields, field in NONSENSE:
        problem = await sign_contract(api, customer["id"], expect=422, **fields)
        assert problem["errors"][0]["field"] == field, fields


async def test_contract_starts_on_the_first_day_of_the_first_rate_card(api: Api) -> None:
    customer = await make_customer(api)
    signed = await sign_contract(api, customer["id"], starts_at="2025-12-31T16:00:00Z")  # 2026-01-01 in Shanghai
    assert signed["rate_card_version"] == "2026-01-01"


async def test_unknown_customer_signs_nothing(api: Api) -> None:
    await sign_contract(api, "cus_nobody", expect=404)


async def test_prepaid_hours_are_credited_when_the_advance_is_paid(api: Api, system: System) -> None:
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"], plan="prepaid", committed_gpu_hours=500)
    invoice = await api.get(f"/invoices/{contract['advance_invoice_id']}")
    assert (invoice["kind"], invoice["status"], invoice["total"]["amount"]) == ("advance", "open", "2600.00")
    assert (await read_balance(system, contract["id"])).available_gpu_seconds == 0
    await api.post(f"/invoices/{invoice['id']}/pay")
    assert (await read_balance(system, contract["id"])).available_gpu_seconds == 500 * HOUR
    assert await broken_rules(system) == {}


async def test_long_term_hours_are_credited_at_once_and_have_a_queue_of_their_own(api: Api, system: System) -> None:
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"], plan="long_term", committed_gpu_hours=2000)
    assert contract["advance_invoice_id"] is None
    assert contract["queue"] == f"dedicated:{contract['id']}"
    assert (await read_balance(system, contract["id"])).available_gpu_seconds == 2000 * HOUR
    assert contract["queue"] in {queue["name"] for queue in (await api.get("/queues"))["data"]}


async def test_overage_has_a_default_for_each_plan(api: Api) -> None:
    customer = await make_customer(api)
    for plan, hours, overage in (
        ("on_demand", 0, "contract"),
        ("prepaid", 500, "block"),
        ("long_term", 2000, "contract"),
    ):
        signed = await sign_contract(api, customer["id"], plan=plan, committed_gpu_hours=hours)
        assert signed["overage"] == overage


@pytest.mark.parametrize(("before", "now"), [("bill", "contract"), ("refuse", "block")])
async def test_old_word_for_overage_is_refused_with_the_new_one(api: Api, before: str, now: str) -> None:
    customer = await make_customer(api)
    problem = await sign_contract(api, customer["id"], overage=before, expect=422)
    assert problem["errors"] == [{"field": "overage", "message": f"'{before}' is written '{now}' now"}]


async def test_billing_months_begin_on_the_contracts_own_day_in_its_own_zone(api: Api, clock: ManualClock) -> None:
    customer = await make_customer(api)
    signed = await sign_contract(api, customer["id"], time_zone="America/New_York", billing_day=10)
    assert (signed["time_zone"], signed["billing_day"]) == ("America/New_York", 10)
    months = []
    for _ in range(2):
        months.append((await api.get(f"/contracts/{signed['id']}/balance"))["month"])
        clock.advance(hours=1)
    assert months == ["2026-10", "2026-11"]


async def test_job_names_its_contract_where_several_are_in_force(api: Api) -> None:
    customer = await make_ready_customer(api)
    second = await sign_prepaid(api, customer.id)
    problem = await submit_job(api, customer.dataset["id"], customer_id=customer.id, expect=409)
    assert problem["errors"][0]["field"] == "contract_id"
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, contract_id=second["id"])
    assert (job["contract_id"], job["queue"]) == (second["id"], "priority")


async def test_contract_is_in_force_from_its_start_until_just_before_its_end(api: Api, clock: ManualClock) -> None:
    begins, ends = "2026-11-11T00:00:00Z", "2026-11-12T00:00:00Z"
    customer = await make_ready_customer(api, starts_at=begins, ends_at=ends)

    async def submit(expect: int) -> None:
        await submit_job(api, customer.dataset["id"], customer_id=customer.id, expect=expect)

    await submit(409)
    clock.advance(hours=20)
    await submit(201)
    clock.advance(hours=24)
    await submit(409)


async def test_job_cannot_run_under_another_customers_contract(api: Api) -> None:
    customer, other = await make_ready_customer(api), await make_ready_customer(api)
    fields = {"customer_id": customer.id, "contract_id": other.contract["id"]}
    await submit_job(api, customer.dataset["id"], expect=404, **fields)

"""What is agreed at signing stands in the contract; one number has one contract of a customer at a time."""

import asyncio
from typing import Any

import pytest

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, amend_contract, make_customer, make_ready_customer, sign_contract, submit_job
from tests.broker.running_jobs import broken_rules, report_usage, start_job

AGREED = {
    "contract_number": "HT-2026-0117",
    "purchase_order": "PO-4711",
    "payment_days": 45,
    "draft_working_days": 3,
    "finalizes": "automatic",
    "tax_mode": "on_top",
    "tax_rate": "0.06",
    "budget_hard_stop": False,
    "arrears": {"grace_days": 3, "suspended_days": 10, "retention_days": 60},
}
NOVEMBER, DECEMBER, JANUARY = (f"{month}-01T00:00:00Z" for month in ("2026-11", "2026-12", "2027-01"))


async def test_what_is_agreed_stands_in_the_contract(api: Api) -> None:
    customer = await make_customer(api)
    signed = await sign_contract(api, customer["id"], credit_limit="20000", **AGREED)
    assert {name: signed[name] for name in AGREED} == AGREED
    assert signed["credit_limit"] == {"amount": "20000.00", "currency": "CNY"}
    assert await api.get(f"/contracts/{signed['id']}") == {
        k: v for k, v in signed.items() if not k.endswith("_invoice_id")
    }


async def test_contract_without_a_number_has_its_id_as_number_and_no_tax(api: Api) -> None:
    signed = await sign_contract(api, (await make_customer(api))["id"])
    assert signed["contract_number"] == signed["id"]
    assert (signed["tax_mode"], signed["tax_rate"], signed["payment_days"]) == ("none", None, 30)
    assert (signed["credit_limit"], signed["budget_hard_stop"]) == (None, True)


@pytest.mark.parametrize(
    ("terms", "ends_at"),
    [
        ({"plan": "on_demand"}, None),
        ({"plan": "prepaid", "committed_gpu_hours": 500}, "2027-11-01T00:00:00Z"),
        ({"plan": "long_term", "committed_gpu_hours": 2000}, "2027-11-01T00:00:00Z"),
        ({"plan": "prepaid", "committed_gpu_hours": 500, "ends_at": JANUARY}, JANUARY),
    ],
)
async def test_what_commits_to_a_volume_ends_after_twelve_months(
    api: Api, terms: dict[str, Any], ends_at: str | None
) -> None:
    signed = await sign_contract(api, (await make_customer(api))["id"], **{"starts_at": NOVEMBER, **terms})
    assert signed["ends_at"] == ends_at


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "overlaps"),
    [
        (DECEMBER, None, False),
        ("2026-10-01T00:00:00Z", NOVEMBER, False),
        ("2026-11-30T23:59:59Z", None, True),
        ("2026-10-01T00:00:00Z", "2026-11-01T00:00:01Z", True),
        ("2026-11-10T00:00:00Z", "2026-11-11T00:00:00Z", True),
        ("2026-10-01T00:00:00Z", None, True),
    ],
)
async def test_contracts_with_one_number_follow_each_other_and_never_overlap(
    api: Api, starts_at: str, ends_at: str | None, overlaps: bool
) -> None:
    customer, other = await make_customer(api), await make_customer(api)
    named = {"contract_number": "HT-1"}
    first = await sign_contract(api, customer["id"], starts_at=NOVEMBER, ends_at=DECEMBER, **named)
    await sign_contract(api, other["id"], starts_at=NOVEMBER, **named)
    times = {"starts_at": starts_at, "ends_at": ends_at}
    answer = await sign_contract(api, customer["id"], expect=409 if overlaps else 201, **times, **named)
    if overlaps:
        assert (answer["type"], answer["contract_id"]) == ("/problems/contracts-overlap", first["id"])
        assert answer["errors"][0]["field"] == "contract_number"
        assert len((await api.get("/contracts", customer_id=customer["id"]))["data"]) == 1
    await sign_contract(api, customer["id"], contract_number="HT-2", **times)


async def test_of_contracts_signed_at_once_under_one_number_one_is_signed(api: Api) -> None:
    customer = await make_customer(api)
    terms = {"customer_id": customer["id"], "plan": "on_demand", "contract_number": "HT-1"}
    answers = await asyncio.gather(*(api.call("POST", "/contracts", json=terms) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    [signed] = (await api.get("/contracts", customer_id=customer["id"]))["data"]
    assert {each.json()["contract_id"] for each in answers if each.status_code == 409} == {signed["id"]}


async def test_status_follows_the_dates(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, starts_at="2026-11-11T00:00:00Z", ends_at="2026-11-12T00:00:00Z")
    path, seen = f"/contracts/{customer.contract['id']}", []
    for hours in (0, 20, 24):
        clock.advance(hours=hours)
        seen.append((await api.get(path))["status"])
    assert seen == ["upcoming", "active", "ended"]
    await submit_job(api, customer.dataset["id"], customer_id=customer.id, expect=409)


async def test_contracts_are_listed_by_number_status_and_the_plan_that_they_are_on_now(
    api: Api, clock: ManualClock
) -> None:
    customer = (await make_customer(api))["id"]
    times = {"upcoming": {"starts_at": "2026-12-01T00:00:00Z"}, "ended": {"ends_at": "2026-11-09T00:00:00Z"}}
    signed = {key: await sign_contract(api, customer, contract_number="HT", **own) for key, own in times.items()}
    signed |= {key: await sign_contract(api, customer) for key in ("active", "cancelled")}
    await api.post(f"/contracts/{signed['cancelled']['id']}/cancel")

    async def listed(**wanted: str) -> set[str]:
        return {each["id"] for each in (await api.get("/contracts", customer_id=customer, **wanted))["data"]}

    for status, contract in signed.items():
        assert await listed(status=status) == {contract["id"]}
    assert await listed(contract_number="HT") == {signed["upcoming"]["id"], signed["ended"]["id"]}
    changes = {"plan": "long_term", "committed_gpu_hours": 2000, "effective_at": "2026-11-11T00:00:00Z"}
    await amend_contract(api, signed["active"]["id"], **changes)
    assert await listed(plan="long_term") == set()
    clock.advance(days=1)
    assert await listed(plan="long_term") == {signed["active"]["id"]}
    assert signed["active"]["id"] not in await listed(plan="on_demand")


async def test_tokens_bought_at_signing_have_a_grant_and_an_invoice_of_their_own(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    terms = {"plan": "prepaid", "committed_gpu_hours": 500, "committed_tokens": 1_000_000}
    signed = await sign_contract(api, customer.id, **terms)
    customer.contract = signed
    tokens = await api.post(f"/invoices/{signed['tokens_invoice_id']}/pay")
    assert (signed["committed_tokens"], tokens["total"]["amount"]) == (1_000_000, "90.00")
    submit = {"customer_id": customer.id, "contract_id": signed["id"]}
    problem = await submit_job(api, customer.dataset["id"], expect=402, **submit)
    assert problem["invoice_id"] == signed["advance_invoice_id"]
    await api.post(f"/invoices/{signed['advance_invoice_id']}/pay")
    job = await start_job(system, customer, gpu_seconds=10, tokens=2000)
    await report_usage(system, job, gpu_seconds=10, tokens=2000)
    invoice = await api.post("/invoices", {"contract_id": signed["id"], "month": "2026-11"}, expect=201)
    assert invoice["total"]["amount"] == "0.00"
    assert await broken_rules(system) == {}

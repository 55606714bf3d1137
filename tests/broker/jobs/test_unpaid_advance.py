"""A prepaid price is for hours paid ahead: while the advance is not paid, nothing is had at it.

With `overage: contract` jobs ran at 5.2 a GPU-hour while the advance invoice was unpaid.
"""

import pytest

from broker.jobs.tables import Job
from broker.system import System
from tests.broker.factories import Api, Customer, make_customer, make_ready_customer, sign_contract, upload_dataset
from tests.broker.factories import submit_job as submit
from tests.broker.running_jobs import HOUR, broken_rules, read_balance, report_usage, start_job


async def make_unpaid_customer(api: Api, overage: str = "contract", **fields: str) -> Customer:
    customer = await make_customer(api)
    terms = {"plan": "prepaid", "committed_gpu_hours": 500, "overage": overage, **fields}
    contract = await sign_contract(api, customer["id"], **terms)
    return Customer(customer["id"], contract, await upload_dataset(api, customer["id"]))


@pytest.mark.parametrize("overage", ["contract", "block", "on_demand"])
async def test_nothing_runs_before_the_advance_is_paid_and_the_refusal_names_its_invoice(
    api: Api, system: System, overage: str
) -> None:
    customer = await make_unpaid_customer(api, overage)
    for fields in ({}, {"max_cost": "0.50"}):
        problem = await submit(api, customer.dataset["id"], customer_id=customer.id, expect=402, **fields)
        assert problem["type"] == "/problems/insufficient-balance"
        assert problem["invoice_id"] == customer.contract["advance_invoice_id"]
        assert problem["invoice_id"] in problem["detail"]
    assert (await read_balance(system, customer.contract["id"])).held_money.micros == 0
    await api.post(f"/invoices/{customer.contract['advance_invoice_id']}/pay")
    await submit(api, customer.dataset["id"], customer_id=customer.id)
    assert await broken_rules(system) == {}


async def test_job_from_before_the_rule_is_not_resumed_either(api: Api, system: System) -> None:
    customer = await make_unpaid_customer(api)
    job = await start_job(system, customer, gpu_seconds=HOUR, status="paused")
    problem = await api.post(f"/jobs/{job.id}/resume", expect=402)
    assert problem["invoice_id"] == customer.contract["advance_invoice_id"]
    async with system.work() as work:
        assert (await work.session.get_one(Job, job.id)).status == "paused"


@pytest.mark.parametrize(("overage", "price"), [("contract", "5.2"), ("on_demand", "6.8")])
async def test_once_paid_what_goes_beyond_the_hours_is_priced_as_overage_says(
    api: Api, system: System, overage: str, price: str
) -> None:
    customer = await make_ready_customer(api, plan="prepaid", overage=overage)
    used_up = await start_job(system, customer, gpu_seconds=500 * HOUR)
    await report_usage(system, used_up, gpu_seconds=500 * HOUR)
    job = await submit(api, customer.dataset["id"], customer_id=customer.id)
    assert job["contract_id"] == customer.contract["id"]
    await report_usage(system, used_up, gpu_seconds=HOUR)
    body = {"contract_id": customer.contract["id"], "month": "2026-11"}
    lines = (await api.post("/invoices", body, expect=201))["lines"]
    billed = [line["unit_price"] for line in lines if line["meter"] == "gpu_seconds" and line["kind"] == "usage"]
    assert set(billed) == {"5.2", price}


async def test_long_term_commits_without_an_advance_and_runs_at_once(api: Api) -> None:
    customer = await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    assert customer.contract["advance_invoice_id"] is None
    await submit(api, customer.dataset["id"], customer_id=customer.id)


async def test_another_contract_of_the_customer_pays_where_it_is_named(api: Api) -> None:
    customer = await make_unpaid_customer(api)
    on_demand = await sign_contract(api, customer.id)
    named = {"customer_id": customer.id, "contract_id": on_demand["id"]}
    job = await submit(api, customer.dataset["id"], **named)
    assert job["contract_id"] == on_demand["id"]

"""Two hundred submissions at once against what covers fifty: fifty are admitted, and nothing is left of the others."""

import asyncio
import math
from fractions import Fraction
from typing import Any

import httpx2 as httpx
from sqlalchemy import func, select

from broker.jobs.tables import Job
from broker.ledger.tables import Hold
from broker.system import System
from pricing.money import Money
from tests.broker.factories import CONFIG, Api, Customer, make_customer, sign_contract, upload_dataset
from tests.broker.running_jobs import add_grant, broken_rules, read_balance

SUBMISSIONS, COVERED = 200, 50
TURNED_AWAY = (429, 503)


async def quote(api: Api, dataset: Any) -> Any:
    made = await api.post("/quotes", {"config": CONFIG, "dataset_id": dataset["id"]}, expect=201)
    return made["estimate"]


async def submit_all(api: Api, customer: Customer) -> list[httpx.Response]:
    return await asyncio.gather(*(submit_once(api, customer) for _ in range(SUBMISSIONS)))


async def submit_once(api: Api, customer: Customer) -> httpx.Response:
    """Submit a job; where its turn has not come in time, nothing was done, and it is sent again as a client would."""
    body = {"config": CONFIG, "dataset_id": customer.dataset["id"], "customer_id": customer.id}
    while True:
        answer = await api.call("POST", "/jobs", json=body)
        if answer.status_code not in TURNED_AWAY:
            return answer


async def check_admitted(system: System, customer: Customer, answers: list[httpx.Response]) -> list[Any]:
    """Exactly fifty jobs and holds exist; the problems of the refused ones are returned."""
    admitted = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    refused = [answer.json() for answer in answers if answer.status_code == 402]
    assert (len(admitted), len(refused)) == (COVERED, SUBMISSIONS - COVERED), {a.status_code for a in answers}
    async with system.work() as work:
        jobs = set((await work.session.scalars(select(Job.id))).all())
        holds = await work.session.scalar(select(func.count()).select_from(Hold))
    assert jobs == set(admitted)
    assert holds == COVERED
    assert await broken_rules(system) == {}
    return refused


async def test_prepaid_balance_is_never_oversold(api: Api, system: System) -> None:
    owner = await make_customer(api)
    contract = await sign_contract(api, owner["id"], plan="prepaid", committed_gpu_hours=500)
    customer = Customer(owner["id"], contract, await upload_dataset(api, owner["id"]))
    p90 = (await quote(api, customer.dataset))["gpu_seconds"]["p90"]
    await add_grant(system, contract["id"], p90 * COVERED)

    refused = await check_admitted(system, customer, await submit_all(api, customer))

    assert all((problem["needed_gpu_seconds"], problem["available_gpu_seconds"]) == (p90, 0) for problem in refused)
    balance = await read_balance(system, contract["id"])
    assert (balance.available_gpu_seconds, balance.held_gpu_seconds) == (0, p90 * COVERED)


async def test_monthly_budget_is_never_oversold(api: Api, system: System) -> None:
    owner = await make_customer(api)
    dataset = await upload_dataset(api, owner["id"])
    estimate = await quote(api, dataset)
    exact = estimate["gpu_seconds"]["p90"] * Fraction("6.8") / 3600 + estimate["tokens"] * Fraction("0.00012")
    hold = Money(math.ceil(exact * 1_000_000))
    contract = await sign_contract(api, owner["id"], monthly_budget=(hold * COVERED).format_amount())
    customer = Customer(owner["id"], contract, dataset)

    refused = await check_admitted(system, customer, await submit_all(api, customer))

    assert all((problem["needed"], problem["available"]) == (hold.format_amount(), "0.00") for problem in refused), (
        refused[0]
    )
    balance = await read_balance(system, contract["id"])
    assert (balance.budget_left, balance.held_money) == (Money(0), hold * COVERED)

"""How a backlog is cut into heartbeats changes no amount, and no line of the invoice."""

import random
from typing import Any

import pytest
from fastapi import FastAPI

from broker.system import System
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.running_jobs import broken_rules, read_hold
from tests.broker.worker_calls import dispatched_worker

SEED = random.randrange(2**32)
INTERVALS = 24
CONTRACTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "budget": ({"monthly_budget": "0.85"}, {}),
    "max_cost": ({}, {"max_cost": "0.77"}),
    "cap": ({"quote_guarantee": "cap"}, {}),
    "prepaid that bills": ({"plan": "prepaid", "overage": "bill"}, {}),
    "nothing promised": ({}, {}),
}


def cut(cuts: random.Random, kind: str) -> list[int]:
    if kind == "at once":
        return [INTERVALS]
    if kind == "one by one":
        return [1] * INTERVALS
    places = sorted(cuts.sample(range(1, INTERVALS), 4))
    return [end - start for start, end in zip([0, *places], [*places, INTERVALS], strict=True)]


@pytest.mark.parametrize("name", CONTRACTS)
async def test_backlog_costs_the_same_in_one_heartbeat_and_in_many(
    api: Api, app: FastAPI, system: System, name: str
) -> None:
    print(f"seed {SEED}")  # noqa: T201 (shown when it fails)
    contract, job_fields = CONTRACTS[name]
    draws = random.Random(SEED)
    usages = [(draws.randrange(20), draws.randrange(400)) for _ in range(INTERVALS)]
    outcomes = []
    for kind in ("at once", "one by one", "somehow"):
        customer = await make_ready_customer(api, **contract)
        job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, **job_fields)
        async with dispatched_worker(api, app, system, job["id"]) as worker:
            await worker.claim()
            rest = iter(usages)
            for count in cut(draws, kind):
                usage = [worker.interval(*next(rest)) for _ in range(count)]
                await worker.post("heartbeats", usage=usage)
        legs = sorted(
            (leg.unit, leg.borne, leg.billable, leg.captured) for leg in (await read_hold(system, job["id"])).legs
        )
        after = await api.get(f"/jobs/{job['id']}")
        body = {"contract_id": customer.contract["id"], "month": "2026-11"}
        lines = (await api.post("/invoices", body, expect=201))["lines"]
        amounts = [(line["meter"], line["kind"], line["quantity"], line["amount"]["amount"]) for line in lines]
        outcomes.append((after["cost"], after["borne"], amounts, legs))
    assert outcomes[1] == outcomes[0]
    assert outcomes[2] == outcomes[0]
    assert await broken_rules(system) == {}

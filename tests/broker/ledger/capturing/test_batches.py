"""How a backlog is cut into heartbeats changes no amount, and no line of the invoice."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from broker.ledger import service as ledger
from broker.ledger.service import UsageInterval
from broker.ledger.tables import Capture, Transfer
from broker.system import System
from pricing.usage import Usage
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.running_jobs import broken_rules, read_balance, read_hold, start_job
from tests.broker.worker_calls import dispatched_worker

SEED = random.randrange(2**32)
INTERVALS = 24
CONTRACTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "budget": ({"monthly_budget": "0.85"}, {}),
    "max_cost": ({}, {"max_cost": "0.77"}),
    "cap": ({"quote_guarantee": "cap"}, {}),
    "prepaid that bills": ({"plan": "prepaid", "overage": "contract"}, {}),
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


async def list_charges(system: System) -> list[tuple[str, str]]:
    """List the transfers of captured usage: the intervals of each, and the month that bills them."""
    async with system.work() as work:
        query = (
            select(Transfer.reference, Capture.month)
            .join(Capture, func.concat(Capture.run_id, "/", Capture.first_sequence) == _first_of(Transfer.reference))
            .where(Transfer.kind == "usage_captured")
            .distinct()
            .order_by(Capture.month, Transfer.reference)
        )
        return [(reference.split("/")[1], month) for reference, month in await work.session.execute(query)]


def _first_of(reference: Any) -> Any:
    return func.split_part(reference, "-", 1)


async def test_heartbeat_is_one_transfer_for_each_checkpoint_segment(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        usage = [worker.interval(2, 5) for _ in range(9)]
        usage[3]["data"]["checkpoint_step"] = 40
        await worker.post("heartbeats", usage=usage)
    assert await list_charges(system) == [("0-3", "2026-11"), ("4-8", "2026-11")]
    assert await broken_rules(system) == {}


async def test_heartbeat_over_midnight_is_one_transfer_for_each_month(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer)
    clock.now = datetime(2026, 11, 30, 16, 0, 5, tzinfo=UTC)  # five seconds into December in Shanghai
    ends = [clock.now + timedelta(seconds=3 * (number - 3)) for number in range(4)]
    intervals = [UsageInterval(job.run_id, number, Usage(1, 10), ended_at) for number, ended_at in enumerate(ends)]
    async with system.work() as work:
        await ledger.capture_usage(work, await ledger.lock_hold(work, job.id), intervals)
    assert await list_charges(system) == [("0-1", "2026-11"), ("2-3", "2026-12")]


async def test_late_usage_is_paid_by_the_grant_of_its_own_moment(api: Api, system: System, clock: ManualClock) -> None:
    """A backlog from before the contract's end that arrives after it was billed as overage: the grant had expired."""
    customer = await make_ready_customer(api, plan="prepaid", overage="contract", ends_at="2026-11-10T05:00:00Z")
    job = await start_job(system, customer, gpu_seconds=60, tokens=0)
    clock.advance(minutes=59)
    in_time = clock.now
    clock.advance(hours=1)
    intervals = [
        UsageInterval(job.run_id, 0, Usage(600, 0), in_time),
        UsageInterval(job.run_id, 1, Usage(600, 0), clock.now),
    ]
    async with system.work() as work:
        captured = await ledger.capture_usage(work, await ledger.lock_hold(work, job.id), intervals)
    assert (captured.cost.format_amount(), captured.borne.format_amount()) == ("0.866667", "0.866667")
    balance = await read_balance(system, customer.contract["id"])
    assert (balance.used_gpu_seconds, balance.used_money.format_amount()) == (600, "0.00")

"""What a heartbeat costs the database: each thing is read once."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import event

from broker.system import System
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.worker_calls import dispatched_worker

READ = re.compile(r"^SELECT .*? FROM (\w+)", re.DOTALL)


@contextmanager
def counting_reads(system: System) -> Iterator[Counter[str]]:
    """Count, by table, the SELECTs that read it first, for as long as the block lasts."""
    reads: Counter[str] = Counter()
    engine = system.database.engine.sync_engine

    def note(*arguments: Any) -> None:
        if found := READ.match(arguments[2].replace("\n", " ")):
            reads[found[1]] += 1

    event.listen(engine, "before_cursor_execute", note)
    yield reads
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("plan", ["on_demand", "prepaid"])
async def test_a_heartbeat_reads_hold_legs_and_contract_once(api: Api, app: FastAPI, system: System, plan: str) -> None:
    customer = await make_ready_customer(api, plan=plan)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        with counting_reads(system) as reads:
            await worker.beat(2)
    assert {table: reads[table] for table in ("jobs", "holds", "hold_legs", "contracts")} == {
        "jobs": 1,
        "holds": 1,
        "hold_legs": 1,
        "contracts": 1,
    }


async def test_a_heartbeat_without_usage_reads_no_leg(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        with counting_reads(system) as reads:
            await worker.beat()
    assert reads["hold_legs"] == reads["holds"] == 0

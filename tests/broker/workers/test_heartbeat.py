"""What a heartbeat costs the database: a few messages, however much is read and written."""

from typing import Any

import pytest
from fastapi import FastAPI

from broker.system import System
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.messages import listing_messages
from tests.broker.worker_calls import dispatched_worker


@pytest.mark.parametrize("terms", [{}, {"plan": "prepaid"}, {"monthly_budget": "100.00"}])
async def test_a_heartbeat_locks_reads_and_writes_in_a_message_each(
    api: Api, app: FastAPI, system: System, monkeypatch: pytest.MonkeyPatch, terms: dict[str, Any]
) -> None:
    customer = await make_ready_customer(api, **terms)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        for _ in range(2):  # then the connection knows the statements
            await worker.beat(2)
        with listing_messages(monkeypatch) as messages:
            await worker.beat(2)
    assert [message.startswith("BEGIN; ") for message in messages] == [True, False, False]
    assert messages[-1].endswith("COMMIT")


async def test_a_heartbeat_without_usage_reads_no_leg(
    api: Api, app: FastAPI, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        with listing_messages(monkeypatch) as messages:
            await worker.beat()
    assert not any("hold_legs" in message for message in messages)

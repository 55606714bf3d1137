"""What a heartbeat costs the database: a few messages, however much is read and written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI

from broker.system import System
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.worker_calls import dispatched_worker


@contextmanager
def listing_messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """List the messages to PostgreSQL for as long as the block lasts."""
    messages: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def note(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        messages.append(query.decode() if isinstance(query, bytes) else str(query))
        return await execute(cursor, query, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncCursor, "execute", note)
        yield messages


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
    assert [message.split(" ", 1)[0] for message in messages] == ["BEGIN;", "EXECUTE", "EXECUTE"]
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

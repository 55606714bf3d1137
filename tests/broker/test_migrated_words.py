"""Migration 0004 gives stored rows other words, and nothing but words."""

from typing import Any

import pytest
from alembic import command
from fastapi import FastAPI

from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.factories import CONFIG, Api, make_ready_customer, submit_job
from tests.broker.rows import owner_connection, read_everything
from tests.broker.running_jobs import broken_rules
from tests.broker.worker_calls import Worker, dispatched_worker

pytestmark = pytest.mark.slow

OLD_WORDS = {
    "SELECT DISTINCT payer FROM captures": {"customer", "house"},
    "SELECT DISTINCT payer FROM hold_legs": {"customer", "house"},
    "SELECT bought_ahead FROM grants": {True},
    "SELECT stop_requested FROM jobs WHERE stop_requested IS NOT NULL": {"budget"},
    "SELECT DISTINCT data ->> 'reason' FROM job_events WHERE kind = 'stop_requested'": {"budget"},
    "SELECT kind FROM ledger_accounts WHERE kind IN ('house', 'borne_issued')": {"house"},
    "SELECT kind FROM ledger_transfers WHERE kind LIKE 'hold_%ted'": {"hold_refitted"},
    "SELECT DISTINCT kind FROM invoice_lines WHERE amount_micros < 0": {"prepaid_applied"},
    "SELECT document -> 'plans' -> 'prepaid' -> 'bought_ahead' FROM rate_cards": {True},
}


async def use_every_word(api: Api, app: FastAPI, system: System) -> None:
    """Make an advance that pays, a limit that is reached, borne usage, an adjusted hold and a draft invoice."""
    customer = await make_ready_customer(api, plan="prepaid")
    dataset_id = customer.dataset["id"]
    quote = await api.post("/quotes", {"config": CONFIG, "dataset_id": dataset_id}, expect=201)
    job = await submit_job(api, dataset_id, customer_id=customer.id, quote_id=quote["id"])
    seconds = quote["estimate"]["gpu_seconds"]["p90"]
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await pass_limit(worker, seconds)
        await worker.finish("stopped")
    await api.post(f"/jobs/{job['id']}/resume", {"max_cost": "5"})
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await pass_limit(worker, 4 * 3600)
    await api.post("/invoices", {"contract_id": customer.contract["id"], "month": "2026-11"}, expect=201)


async def pass_limit(worker: Worker, seconds: int) -> None:
    await worker.claim()
    assert (await worker.beat(seconds))["reason"] == "limit"
    await worker.beat(5)


def read_column(urls: DatabaseUrls, query: str) -> set[Any]:
    with owner_connection(urls) as connection:
        return {next(iter(row.values())) for row in connection.execute(query.encode())}


async def test_rows_get_other_words_and_no_other_facts(
    api: Api, app: FastAPI, system: System, urls: DatabaseUrls
) -> None:
    await use_every_word(api, app, system)
    await system.database.close()
    assert urls.owner is not None
    command.downgrade(alembic_config(urls.owner), "0004")  # what came later has tables of its own
    before = read_everything(urls)
    command.downgrade(alembic_config(urls.owner), "0003")
    assert {query: read_column(urls, query) for query in OLD_WORDS} == OLD_WORDS
    command.upgrade(alembic_config(urls.owner), "0004")
    assert read_everything(urls) == before
    command.upgrade(alembic_config(urls.owner), "head")
    assert await broken_rules(system) == {}

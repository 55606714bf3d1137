"""The broker's side: a queue filled by the API, and the daemon's own loops that empty it, in this process.

What its runs report may come to another process on the same database, as where `BROKER_WORKER_URL` names one.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.dispatch.ends import PATIENCE_SECONDS, Ends, second_process
from benchmarks.dispatch.instant_engine import InstantEngine
from broker.app import create_app
from broker.config import Settings
from broker.daemon.loops import Daemon
from broker.execution.identity import load_identity
from broker.execution.membership import Membership
from broker.execution.pool_agent import PoolAgent
from broker.persistence.embedded import EmbeddedServer
from broker.processes.boot import DatabaseUrls, migrate_database, prepare
from broker.processes.http_server import spare_what_stays
from broker.reports.verify import verify_ledger
from broker.system import System
from tests.broker.factories import CONFIG, Api, make_ready_customer

POOL, BATCH = "bench", 100
CONTRACTS = 8
COUNT = "SELECT count(*) FROM jobs WHERE status = 'failed' AND cost_micros > 0"
COUNT_ONCE = "SELECT count(*) FROM runs WHERE used_gpu_seconds = 1 AND attempt = 1"


@asynccontextmanager
async def open_broker(
    server: EmbeddedServer,
    folder: Path,
    *,
    slots: int,
    jobs: int,
    reports_elsewhere: bool = False,
    kind: type[InstantEngine] = InstantEngine,
) -> AsyncIterator[tuple[System, Daemon]]:
    """Open a broker of one process on an embedded server, with a pool of so many slots whose runs end at once.

    So many `jobs` are to run on it, by this kind of engine. `reports_elsewhere`: a second process takes their ends.
    """
    urls = DatabaseUrls(server.app_url(), server.owner_url())
    migrate_database(urls)
    settings = Settings(_env_file=None, data_dir=folder, local_slots=0)
    system = await prepare(settings, urls)
    async with AsyncExitStack() as closing:
        closing.push_async_callback(system.database.close)
        ends = await closing.enter_async_context(second_process(system)) if reports_elsewhere else Ends(system)
        identity = load_identity(folder, system.services.new_id)
        engine = kind(system, slots, jobs, ends)
        agent = PoolAgent(system, POOL, engine, identity, Membership(system))
        await agent.register()
        yield system, Daemon(system, agent)


async def fill_queue(system: System, jobs: int) -> None:
    """Submit so many jobs by the API, on a few contracts, in batches."""
    key = system.services.settings.admin_key_path.read_text().strip()
    async with Api.connect(create_app(system), key) as api:
        customers = [await make_ready_customer(api) for _ in range(CONTRACTS)]
        for number in range(jobs // BATCH):
            customer = customers[number % CONTRACTS]
            order: dict[str, Any] = {"configs": [CONFIG] * BATCH, "dataset_id": customer.dataset["id"]}
            await api.post("/jobs/batch", {**order, "customer_id": customer.id}, expect=201)


async def empty_queue(system: System, daemon: Daemon) -> float:
    """Have all queued jobs dispatched, ended and settled by the daemon; returns how many were a second."""
    engine = daemon.agent.engine if daemon.agent is not None else None
    assert isinstance(engine, InstantEngine)
    spare_what_stays()  # as a served broker does once it has started
    begun = time.monotonic()
    await daemon.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await engine.all_ended.wait()
    seconds = time.monotonic() - begun
    await daemon.stop()
    await check(system, engine.expects)
    return engine.expects / seconds


async def check(system: System, jobs: int) -> None:
    """Refuse a result whose books are wrong, or a job that did not run exactly once. Raises: RuntimeError."""
    async with system.work() as work:
        charged, once = [await work.session.scalar(text(query)) for query in (COUNT, COUNT_ONCE)]
        broken = [check.rule for check in await verify_ledger(work.session) if check.broken]
    if (charged, once) != (jobs, jobs) or broken:
        raise RuntimeError(f"of {jobs} jobs {charged} were charged, {once} ran once; broken: {broken}")

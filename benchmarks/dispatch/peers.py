"""The other sides, in databases of their own on the same server: two queues on PostgreSQL, each by its own worker.

Their jobs do nothing, have no price and need no GPU: they are taken, called and marked as done.
"""

import time
from datetime import timedelta

import procrastinate
import psycopg
from pgqueuer import Job, PsycopgDriver, Queries, QueueManager
from pgqueuer.types import QueueExecutionMode

from broker.persistence.embedded import EmbeddedServer

QUEUED_AT_ONCE = 1_000


async def measure_procrastinate(server: EmbeddedServer, *, slots: int, jobs: int) -> float:
    """Measure how many jobs a second a worker of procrastinate takes, so many at one time."""
    _create_database(server, "procrastinate")
    connector = procrastinate.PsycopgConnector(conninfo=server.owner_url("procrastinate"))
    app = procrastinate.App(connector=connector)
    ended = 0

    @app.task(name="nothing")
    async def nothing() -> None:
        nonlocal ended
        ended += 1

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for _ in range(jobs // QUEUED_AT_ONCE):
            await nothing.batch_defer_async(*[{}] * QUEUED_AT_ONCE)
        begun = time.monotonic()
        await app.run_worker_async(concurrency=slots, wait=False, listen_notify=False, install_signal_handlers=False)
        return _count_rate(ended, jobs, time.monotonic() - begun)


async def measure_pgqueuer(server: EmbeddedServer, *, slots: int, jobs: int) -> float:
    """Measure how many jobs a second a worker of PGQueuer takes, in batches of so many."""
    _create_database(server, "pgqueuer")
    connecting = psycopg.AsyncConnection.connect(server.owner_url("pgqueuer"), autocommit=True)
    async with await connecting as connection:
        driver = PsycopgDriver(connection)
        queries = Queries(driver)
        await queries.install()
        for _ in range(jobs // QUEUED_AT_ONCE):
            await queries.enqueue(["nothing"] * QUEUED_AT_ONCE, [None] * QUEUED_AT_ONCE, [0] * QUEUED_AT_ONCE)
        manager = QueueManager(queries)
        ended = 0

        @manager.entrypoint("nothing")
        async def nothing(_job: Job) -> None:
            nonlocal ended
            ended += 1

        begun = time.monotonic()
        await manager.run(timedelta(seconds=1), batch_size=slots, mode=QueueExecutionMode.drain)
        return _count_rate(ended, jobs, time.monotonic() - begun)


def _count_rate(ended: int, jobs: int, seconds: float) -> float:
    if ended != jobs:
        raise RuntimeError(f"{ended} of {jobs} jobs ran")
    return jobs / seconds


def _create_database(server: EmbeddedServer, name: str) -> None:
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())

"""The end of a run has a cause, whoever ends it and however; usage says at which checkpoint it was cut."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from fastapi import FastAPI

from broker.jobs.running.runs import lose_run, lose_silent_run
from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.rows import owner_connection
from tests.broker.running_jobs import broken_rules
from tests.broker.worker_calls import Worker, dispatched_worker

Step = Callable[[Worker], Awaitable[Any]]


@dataclass
class Place:
    """Where a run is brought to its end."""

    api: Api
    app: FastAPI
    system: System
    customer: Customer

    async def end(self, *steps: Step, claimed: bool = True, **fields: Any) -> tuple[Any, Any]:
        """Take a run through these steps; returns the run and the last event of its job."""
        job = await submit_job(self.api, self.customer.dataset["id"], customer_id=self.customer.id, **fields)
        async with dispatched_worker(self.api, self.app, self.system, job["id"]) as worker:
            if claimed:
                await worker.claim()
            for step in steps:
                await step(worker)
        run = (await self.api.get(f"/jobs/{job['id']}/runs"))["data"][-1]
        return run, (await self.api.get(f"/jobs/{job['id']}/events"))["data"][-1]

    def ask(self, action: str) -> Step:
        async def act(worker: Worker) -> None:
            assignment = await worker.claim()
            await self.api.post(f"/jobs/{assignment['job_id']}/{action}")

        return act

    async def lose(self, worker: Worker) -> None:
        async with self.system.work() as work:
            await lose_run(work, worker.run_id, "its process is gone")

    async def fall_silent(self, worker: Worker) -> None:
        clock = self.system.services.clock
        assert isinstance(clock, ManualClock)
        clock.advance(seconds=self.system.services.settings.lease_seconds)
        async with self.system.work() as work:
            await lose_silent_run(work, worker.run_id)


@pytest.fixture
async def place(api: Api, app: FastAPI, system: System) -> Place:
    return Place(api, app, system, await make_ready_customer(api))


def finish(outcome: str, code: str | None = None) -> Step:
    error = None if code is None else {"code": code, "message": "it went wrong; try something else"}

    async def report(worker: Worker) -> None:
        await worker.finish(outcome, error=error)

    return report


async def beat(worker: Worker) -> None:
    await worker.beat(2)


async def end_in_every_way(place: Place) -> dict[str, str]:
    """End runs in every way; returns what each did and the cause that it got."""
    ways: dict[str, tuple[tuple[Step, ...], dict[str, Any]]] = {
        "succeeded": ((finish("succeeded"),), {}),
        "cancelled": ((place.ask("cancel"), beat, finish("stopped")), {}),
        "cancelled and lost": ((place.ask("cancel"), place.lose), {}),
        "paused": ((place.ask("pause"), beat, finish("stopped")), {}),
        "paused by SIGTERM": ((place.ask("pause"), finish("preempted")), {}),
        "lost while pausing": ((place.ask("pause"), place.lose), {}),
        "paused, then cancelled": ((place.ask("pause"), place.ask("cancel"), finish("stopped")), {}),
        "preempted": ((finish("preempted"),), {}),
        "gone": ((beat, place.lose), {}),
        "silent": ((beat, place.fall_silent), {}),
        "gone before it was claimed": ((place.lose,), {"claimed": False}),
        "silent before it was claimed": ((place.fall_silent,), {"claimed": False}),
        "out of memory": ((finish("failed", "out_of_memory"),), {}),
        "bad input": ((finish("failed", "bad_input"),), {}),
        "refused": ((finish("failed", "broker_refused"),), {}),
        "unknown": ((finish("failed", "flat_tyre"),), {}),
        "untold": ((finish("failed"),), {}),
    }
    causes = {}
    for way, (steps, fields) in ways.items():
        run, event = await place.end(*steps, **fields)
        assert event["data"]["cause"] == run["cause"], way
        causes[way] = run["cause"]
    return causes


async def test_every_way_to_end_names_its_cause(place: Place) -> None:
    assert await end_in_every_way(place) == {
        "succeeded": "succeeded",
        "cancelled": "cancelled",
        "cancelled and lost": "cancelled",
        "paused": "paused",
        "paused by SIGTERM": "paused",
        "lost while pausing": "machine_lost",
        "paused, then cancelled": "cancelled",
        "preempted": "preempted",
        "gone": "machine_lost",
        "silent": "machine_lost",
        "gone before it was claimed": "launch_failed",
        "silent before it was claimed": "launch_failed",
        "out of memory": "out_of_memory",
        "bad input": "bad_input",
        "refused": "broker_refused",
        "unknown": "internal_error",
        "untold": "internal_error",
    }
    assert await broken_rules(place.system) == {}


async def test_a_run_that_lives_has_no_cause(place: Place) -> None:
    run, _event = await place.end(beat)
    assert (run["status"], run["cause"]) == ("running", None)


@pytest.mark.slow
async def test_migration_names_the_causes_of_runs_that_ended_before(place: Place, urls: DatabaseUrls) -> None:
    """What today's runs are given is derived again, from their records alone."""
    await end_in_every_way(place)
    before = read_causes(urls)
    await place.system.database.close()
    forget_corrections(urls)
    assert urls.owner is not None
    config = alembic_config(urls.owner)
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    migration = next(script for script in scripts if "causes_of_end" in script.path)
    command.downgrade(config, str(migration.down_revision))
    command.upgrade(config, "head")
    assert read_causes(urls) == before


def forget_corrections(urls: DatabaseUrls) -> None:
    """Forget what was taken back of lost work: an older release cannot read it, so the way down is refused."""
    with owner_connection(urls) as connection, connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("DELETE FROM captures WHERE corrects_id IS NOT NULL")


def read_causes(urls: DatabaseUrls) -> list[Any]:
    """Read runs and their causes; whose the runs were, a way down that goes further forgets."""
    with owner_connection(urls) as connection:
        return connection.execute("SELECT id, status, cause FROM runs ORDER BY id").fetchall()

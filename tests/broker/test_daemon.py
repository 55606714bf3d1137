"""What the broker does by itself: waking up, sweeping, going on after its database was away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from broker.config import Settings
from broker.daemon.loops import Daemon
from broker.daemon.sweeps import Sweeps
from broker.datasets.token_counts import SMALL_ROWS
from broker.estimator.service import learn
from broker.jobs.running.runs import lose_silent_run
from broker.ledger import service as ledger
from broker.ledger.tables import Hold
from broker.persistence.database import FREED, STARTED
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, dispatch, make_ready_customer, submit_job, upload_dataset
from tests.broker.running_jobs import broken_rules, place_hold, report_usage, start_job
from tests.broker.tenants import finish_job
from tests.broker.waiting import until
from tests.broker.worker_calls import PaperEngine, make_agent, worker_of


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Nothing happens by the clock: what happens was woken up by a notification."""
    return Settings(data_dir=tmp_path_factory.mktemp("data"), local_slots=0, cycle_seconds=3600, sweep_seconds=3600)


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


async def submit(api: Api, customer: Customer) -> str:
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])


@asynccontextmanager
async def running_daemon(system: System, engine: PaperEngine) -> AsyncIterator[Daemon]:
    daemon = Daemon(system, make_agent(system, engine))
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.stop()


@pytest.mark.story
async def test_submission_wakes_the_dispatcher(api: Api, system: System, customer: Customer) -> None:
    engine = PaperEngine()
    async with running_daemon(system, engine):
        job_id = await submit(api, customer)
        await until(lambda: [spec.job_id for spec in engine.launched] == [job_id])


async def test_submissions_wait_to_be_told_why_they_wait_and_start_once_a_device_is_free(
    api: Api, system: System, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.scheduling.cycle.pace.RESTS_AT_LEISURE", 1_000_000)
    monkeypatch.setattr("broker.scheduling.cycle.pace.LONGEST_REST_SECONDS", 3600.0)  # however slow the machine is
    engine = PaperEngine()
    async with running_daemon(system, engine) as daemon:
        jobs = [await submit(api, customer) for _ in range(3)]
        await until(lambda: len(engine.launched) == 2 and not daemon.pace.is_due(time.monotonic()))
        late = await submit(api, customer)
        daemon.wake.set()  # as the tick does
        await until(lambda: not daemon.wake.is_set())
        assert (await api.get(f"/jobs/{late}"))["pending_reason"] is None
        await api.post(f"/jobs/{jobs[0]}/cancel")
        await until(lambda: len(engine.launched) == 3)
        assert (await api.get(f"/jobs/{late}"))["pending_reason"]["code"] == "waiting_for_gpus"


async def test_starts_have_nobody_plan_anew_unless_something_else_has_happened_too(system: System) -> None:
    daemon = Daemon(system, None)
    daemon._hear(STARTED)
    assert daemon.wake.is_set()
    assert daemon.relays_only
    daemon._hear(FREED)
    assert not daemon.relays_only
    daemon._hear(STARTED)
    assert not daemon.relays_only, "what was freed is still to be planned with"


async def test_free_devices_wake_the_dispatcher_for_who_waits(api: Api, system: System, customer: Customer) -> None:
    engine = PaperEngine()
    async with running_daemon(system, engine):
        jobs = [await submit(api, customer) for _ in range(3)]
        await until(lambda: len(engine.launched) == 2)
        await api.post(f"/jobs/{jobs[0]}/cancel")
        await until(lambda: len(engine.launched) == 3)
    assert engine.launched[2].job_id == jobs[2]


@pytest.mark.parametrize(("path", "closed"), [("/queues/standard", {"open": False}), ("/pools/test", {"open": False})])
async def test_change_of_a_queue_or_pool_wakes_the_dispatcher(
    path: str, closed: dict[str, bool], api: Api, system: System, customer: Customer
) -> None:
    engine = PaperEngine()
    async with running_daemon(system, engine):
        await api.call("PATCH", path, json=closed, expect=200)
        job_id = await submit(api, customer)

        async def is_told_why() -> bool:
            return (await api.get(f"/jobs/{job_id}"))["pending_reason"] is not None

        await until(is_told_why)
        assert engine.launched == []
        await api.call("PATCH", path, json={"open": True}, expect=200)
        await until(lambda: [spec.job_id for spec in engine.launched] == [job_id])


async def test_daemon_listens_again_after_its_connections_were_cut(
    api: Api, system: System, customer: Customer, urls: DatabaseUrls
) -> None:
    engine = PaperEngine()
    async with running_daemon(system, engine):
        first = await submit(api, customer)
        await until(lambda: [spec.job_id for spec in engine.launched] == [first])
        with psycopg.connect(urls.owner, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        second = await submit(api, customer)
        # A launch whose mark was cut off is relayed again, so the first may be there twice.
        await until(lambda: second in [spec.job_id for spec in engine.launched])
    assert {spec.job_id for spec in engine.launched} == {first, second}


async def test_process_that_vanishes_is_noticed_and_its_job_started_again(
    api: Api, app: FastAPI, system: System, customer: Customer
) -> None:
    engine = PaperEngine()
    async with running_daemon(system, engine):
        job_id = await submit(api, customer)
        await until(lambda: len(engine.launched) == 1)
        async with worker_of(api, app, system, job_id) as worker:
            await worker.claim()
        engine.alive.clear()
        await until(lambda: [spec.fence_token for spec in engine.launched] == [1, 2])


async def test_stopping_leaves_runs_running(api: Api, system: System, customer: Customer) -> None:
    engine = PaperEngine()
    async with running_daemon(system, engine):
        await submit(api, customer)
        await until(lambda: len(engine.launched) == 1)
    assert (len(engine.alive), engine.stopped) == (1, [])


async def test_silent_run_is_lost_and_stopped(api: Api, system: System, customer: Customer, clock: ManualClock) -> None:
    job_id = await submit(api, customer)
    await dispatch(system)
    engine = PaperEngine()
    agent = make_agent(system, engine)
    await agent.relay()
    clock.advance(seconds=system.services.settings.lease_seconds)
    await Daemon(system, agent).sweep_silent_runs()
    assert (await api.get(f"/jobs/{job_id}"))["status"] == "queued"
    await agent.relay()
    await agent.relays.settle("stop")
    assert engine.stopped == [engine.launched[0].run_id]


async def test_run_that_reports_just_before_it_is_swept_stays(
    api: Api, system: System, customer: Customer, clock: ManualClock
) -> None:
    job_id = await submit(api, customer)
    await dispatch(system)
    run_id = (await api.get(f"/jobs/{job_id}/runs"))["data"][0]["id"]
    clock.advance(seconds=system.services.settings.lease_seconds - 1)
    async with system.work() as work:
        await lose_silent_run(work, run_id)
    assert (await api.get(f"/jobs/{job_id}"))["status"] == "dispatched"


async def test_nobody_is_silent_before_a_whole_lease_was_listened_to(
    api: Api, system: System, customer: Customer, clock: ManualClock
) -> None:
    """A restart after a long break called every run silent that another machine was still training."""
    settings = system.services.settings
    job_id = await submit(api, customer)
    await dispatch(system)
    clock.advance(hours=5)
    daemon = Daemon(system, None)
    sweep_seconds = settings.lease_seconds / 10
    daemon.system.services.settings.sweep_seconds = sweep_seconds
    for _ in range(10):
        await daemon._sweep_when_heard()
        assert (await api.get(f"/jobs/{job_id}"))["status"] == "dispatched"
        clock.advance(seconds=sweep_seconds)
    await daemon._sweep_when_heard()
    assert (await api.get(f"/jobs/{job_id}"))["status"] == "queued"


async def test_break_in_which_nobody_listened_starts_the_lease_anew(
    api: Api, system: System, customer: Customer, clock: ManualClock
) -> None:
    settings = system.services.settings
    settings.sweep_seconds = 1
    daemon = Daemon(system, None)
    await daemon._sweep_when_heard()
    job_id = await submit(api, customer)
    await dispatch(system)
    clock.advance(seconds=10 * settings.lease_seconds)  # the database was away, or the machine slept
    await daemon._sweep_when_heard()
    assert (await api.get(f"/jobs/{job_id}"))["status"] == "dispatched"


async def expires_at(system: System, job_id: str) -> object:
    async with system.work() as work:
        return await work.session.scalar(select(Hold.expires_at).where(Hold.job_id == job_id))


async def test_holds_of_live_jobs_live_on_however_long_they_wait(
    api: Api, system: System, customer: Customer, clock: ManualClock
) -> None:
    queued, paused = await submit(api, customer), await submit(api, customer)
    await api.post(f"/jobs/{paused}/pause")
    clock.advance(days=30)
    await Sweeps(system).sweep_holds()
    lease = timedelta(seconds=system.services.settings.hold_seconds)
    for job_id in (queued, paused):
        assert await expires_at(system, job_id) == clock.now + lease
    assert await broken_rules(system) == {}


async def test_hold_without_a_live_job_expires_and_is_told(
    system: System, customer: Customer, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with system.work() as work:
        await place_hold(work, customer.contract["id"], "job_gone", gpu_seconds=60, tokens=1)
    live = await start_job(system, customer)
    clock.advance(days=1)
    await Sweeps(system).sweep_holds()
    async with system.work() as work:
        states = [(await ledger.get_hold(work, job_id)).hold.state for job_id in ("job_gone", live.id)]
    assert states == ["expired", "placed"]
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == ["the hold of job job_gone was left behind: what it has is free again"]


async def test_one_object_that_fails_keeps_no_other_from_its_turn(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    done = []

    async def act(_work: object, object_id: str) -> None:
        if object_id == "bad":
            raise LookupError(object_id)
        done.append(object_id)

    await system.work_on(["first", "bad", "last"], act)
    assert done == ["first", "last"]
    assert "act of bad failed" in caplog.text


async def test_new_data_is_counted_while_the_daemon_runs(api: Api, system: System, customer: Customer) -> None:
    rows = b"\n".join(b'{"prompt": "counted %d", "completion": "x"}' % number for number in range(SMALL_ROWS + 1))
    settings = system.services.settings.model_copy(update={"cycle_seconds": 0.05})
    daemon = Daemon(replace(system, services=replace(system.services, settings=settings)), None)
    await daemon.start()
    try:
        dataset = await upload_dataset(api, customer.id, content=rows)

        async def is_counted() -> bool:
            counts = (await api.get(f"/datasets/{dataset['id']}"))["token_counts"]
            return [count["status"] for count in counts] == ["counted"]

        await until(is_counted)
    finally:
        await daemon.stop()


async def test_month_that_cannot_be_closed_keeps_no_other_contract_from_its_invoice(
    api: Api, system: System, urls: DatabaseUrls, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One transaction drafted all invoices: a single broken contract, and no customer got one."""
    customers = [await make_ready_customer(api) for _ in range(3)]
    for customer in customers:
        await report_usage(system, await start_job(system, customer), gpu_seconds=60)
    broken = customers[1].contract["id"]
    with psycopg.connect(urls.owner or "", autocommit=True) as connection:
        connection.execute("UPDATE contracts SET time_zone = 'Nowhere/Land' WHERE id = %s", [broken])
    clock.advance(days=40)
    await Sweeps(system).close_months()
    drafted = {invoice["contract_id"] for invoice in (await api.get("/invoices"))["data"]}
    assert drafted == {customer.contract["id"] for customer in customers} - {broken}
    assert f"2026-11 of contract {broken} failed" in caplog.text


async def test_finished_job_that_cannot_be_read_stops_neither_learning_nor_metrics(
    api: Api, system: System, urls: DatabaseUrls, customer: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [await submit(api, customer) for _ in range(2)]
    await dispatch(system, gpus=2)
    for job_id in jobs:
        await finish_job(api, system, job_id)
    with psycopg.connect(urls.owner or "", autocommit=True) as connection:
        connection.execute("""UPDATE jobs SET estimate = '{"gpu_seconds": "lost"}' WHERE id = %s""", [jobs[0]])
    calibration = await learn(system)
    assert calibration is not None
    assert calibration.runs == 1
    assert "broker_estimator_judged_runs 1.0" in (await api.http.get("/metrics")).text
    assert f"job {jobs[0]} is left out" in caplog.text


async def test_what_fails_is_told_briefly_and_tried_again(system: System, caplog: pytest.LogCaptureFixture) -> None:
    """A database that is away is one line; what is our own fault has its traceback, once."""
    daemon = Daemon(system, None)

    async def away() -> None:
        raise OperationalError("SELECT 1", {}, psycopg.OperationalError("the server is gone\nsecond line"))

    async def wrong() -> None:
        raise KeyError("ours")

    async def right() -> None:
        pass

    answers = [await daemon.attempt(name, job) for name, job in (("a", away), ("b", wrong), ("b", wrong), ("b", right))]
    assert answers == [False, False, False, True]
    assert [record.getMessage() for record in caplog.records] == [
        "a failed and is tried again: the server is gone",
        "b failed and is tried again: 'ours'",
        "b works again",
    ]
    assert [record.exc_info is not None for record in caplog.records] == [False, True, False]


async def test_who_drains_hands_the_lead_over_and_another_process_plans_at_once(
    api: Api, system: System, customer: Customer
) -> None:
    """Its lead would last for three hours here, and for seconds elsewhere: jobs waited for nobody."""
    engine = PaperEngine()
    leaver, heir = Daemon(system, None), Daemon(system, make_agent(system, engine))
    await leaver.start()
    try:
        await submit(api, customer)
        await until(lambda: leaver.noted_at is not None)
        await heir.start()
        await leaver.drain()
        job_id = await submit(api, customer)
        await until(lambda: job_id in [spec.job_id for spec in engine.launched])
    finally:
        await leaver.stop()
        await heir.stop()


async def test_what_a_sweep_has_begun_is_done_before_the_process_ends(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    """Past faults: a webhook that was on its way was cut off, and sent once more by the next process; each SIGTERM left
    some tracebacks of what the scheduler had let go of.
    """
    daemon, begun, done = Daemon(system, None), asyncio.Event(), asyncio.Event()

    async def send() -> None:
        begun.set()
        while not daemon.leaves:  # noqa: ASYNC110 (nobody tells it)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        done.set()

    daemon._every(0.01, send)
    await daemon.start()
    await begun.wait()
    await daemon.stop()
    assert done.is_set()
    assert [
        record.message for record in caplog.records if record.name.startswith("apscheduler") and record.exc_info
    ] == []

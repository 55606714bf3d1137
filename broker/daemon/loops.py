"""The loops of one process: a scheduling cycle when something changed, sweeps by the clock, and who is listened to."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import psycopg
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from broker.daemon.sweeps import Sweeps
from broker.errors import OperatorError
from broker.estimator import service as estimator
from broker.estimator.watch import AccuracyWatch
from broker.execution.pool_agent import PoolAgent
from broker.jobs.running.runs import list_silent_runs, lose_silent_run
from broker.jobs.running.start_promises import keep_start_promises
from broker.log_context import told_of
from broker.payments.stripe.client import open_access
from broker.payments.stripe.relay import StripeRelay
from broker.persistence.database import FREED, STARTED, SUBMITTED, WAKE_CHANNEL, wake_dispatcher
from broker.persistence.marks import PLANNED, RECONCILED, VERIFIED, note_mark, read_marks
from broker.persistence.pool import without_driver
from broker.quotes.counts.token_counter import TokenCounter
from broker.reports.reconciliation import reconcile_books
from broker.reports.verify import verify_ledger
from broker.scheduling.cycle.leading import Lead, find_lead, give_up_lead
from broker.scheduling.cycle.live import CycleResult, has_free_devices, run_cycle
from broker.scheduling.cycle.memory import CycleMemory
from broker.scheduling.cycle.pace import Pace, compute_rest, rest_at_leisure
from broker.scheduling.cycle.recorder import CycleRecorder
from broker.scheduling.cycle.usage import UsageReading
from broker.system import System
from broker.work import Work

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0
LISTENING = "listening for work"
WATCH_SECONDS = 0.5
NOTED_EVERY, VERIFIED_EVERY = timedelta(seconds=1), timedelta(minutes=50)
SHORTFALL_SECONDS = 15.0


@dataclass
class Daemon:
    """The loops that one broker process runs beside its API. Processes on one database take turns by locks."""

    system: System
    agent: PoolAgent | None
    plans: bool = True
    accuracy: AccuracyWatch = field(default_factory=AccuracyWatch)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    relays_only: bool = False
    pace: Pace = field(default_factory=Pace)
    recorder: CycleRecorder = field(default_factory=CycleRecorder)
    usage: UsageReading = field(default_factory=UsageReading)
    memory: CycleMemory = field(default_factory=lambda: CycleMemory(secrets.token_hex(8)))
    scheduler: AsyncIOScheduler = field(default_factory=lambda: AsyncIOScheduler(timezone="UTC"))
    sweeps: Sweeps = field(init=False)
    stripe: StripeRelay | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    swept_at: datetime | None = None
    heard_since: datetime | None = None
    noted_at: datetime | None = None
    promises_rest_until: float = 0.0
    has_started: bool = False
    telling_seconds: float = 0.0
    leaves: bool = False
    planning: asyncio.Lock = field(default_factory=asyncio.Lock)
    attempts: set[asyncio.Task[bool]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.sweeps = Sweeps(self.system)

    @property
    def name(self) -> str:
        """Tell by which name this process is known to others."""
        return self.memory.process_id or ""

    async def start(self) -> None:
        if self.agent is not None:
            await self.agent.start()
        settings = self.system.services.settings
        self._every(settings.cycle_seconds, self._tick)
        if self.plans:
            self._schedule_sweeps()
            self._schedule_hourly()
            self._start_stripe()
        if self.agent is not None:
            self._every(WATCH_SECONDS, self.agent.watch)
            self._every(settings.retention_seconds, self.sweeps.sweep_run_folders)
        self.scheduler.start()
        self.tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._dispatch())]
        self.wake.set()

    def _schedule_sweeps(self) -> None:
        settings, sweeps = self.system.services.settings, self.sweeps
        for job in (
            self._sweep_when_heard,
            sweeps.sweep_holds,
            sweeps.offer_new_types,
            self.keep_start_promises,
            sweeps.pause_jobs_of_ended_contracts,
            sweeps.sweep_jobs_in_arrears,
            sweeps.expire_grants,
            sweeps.sweep_purchases,
            self.learn,
        ):
            self._every(settings.sweep_seconds, job)
        for job in (TokenCounter(self.system).count_all, sweeps.simulate_proposals, sweeps.run_closings):
            self._every(settings.cycle_seconds, job)
        self._every(SHORTFALL_SECONDS, sweeps.watch_guarantees)
        self._every(settings.arrears_seconds, sweeps.sweep_arrears)
        self._every(settings.notice_seconds, sweeps.send_notices)
        self._every(settings.webhook_seconds, sweeps.compose_webhooks)
        self._every(settings.webhook_seconds, sweeps.send_webhooks)
        self._every(settings.webhook_seconds, sweeps.push_to_environments)
        self._every(settings.environment_seconds, sweeps.look_at_environments)
        self._every(settings.retention_seconds, sweeps.sweep_leftovers)
        self._every(settings.retention_seconds, sweeps.forget_webhooks)

    def _schedule_hourly(self) -> None:
        self._at(self.sweeps.close_months, minute=5)
        self._at(self.sweeps.warn_of_expiry, minute=10)
        self._at(self.sweeps.warn_of_money_ending, minute=15)
        self._at(self.sweeps.attend_to_ends, minute=20)
        self._at(self.verify_books, minute=40)
        self._at(self.sweeps.forget_idempotency_keys, hour=3)
        self._at(self.sweeps.sweep_sessions, hour=3)
        self._at(self.sweeps.open_usage_months, hour=4)

    def _start_stripe(self) -> None:
        """Have Stripe asked for what is due, and compared with our books every day, where it is set up."""
        settings = self.system.services.settings
        access = open_access(settings)
        if access is not None:
            self.stripe = StripeRelay(self.system, access)
            self._every(settings.sweep_seconds, self.relay_to_stripe)
            self._at(self.reconcile_stripe, hour=19, minute=30)

    def _every(self, seconds: float, job: Callable[[], Awaitable[None]]) -> None:
        self._schedule(job, "interval", seconds=seconds)

    def _at(self, job: Callable[[], Awaitable[None]], **moment: int) -> None:
        """Run a job whenever the clock shows this minute, or hour (UTC)."""
        self._schedule(job, "cron", **moment)

    def _schedule(self, job: Callable[[], Awaitable[None]], trigger: str, **options: float) -> None:
        name = getattr(job, "__name__", "job").strip("_")

        async def attempt() -> None:
            """Attempt it in a task that no scheduler cancels: what is half done is waited for when the process ends."""
            task = asyncio.create_task(self.attempt(name, job))
            self.attempts.add(task)
            task.add_done_callback(self.attempts.discard)
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                if not self.leaves:  # else the scheduler has let go of it, and would log that as its failure
                    raise

        self.scheduler.add_job(
            attempt, trigger, id=name, max_instances=1, coalesce=True, misfire_grace_time=None, **options
        )

    async def attempt(self, name: str, job: Callable[[], Awaitable[None]]) -> bool:
        """Attempt a job that will be tried again; tells whether it worked. What failed stands in the log, briefly."""
        with told_of(task=name):
            return await self._attempt(name, job)

    async def _attempt(self, name: str, job: Callable[[], Awaitable[None]]) -> bool:
        try:
            await job()
        except Exception as error:  # noqa: BLE001 (the next turn tries again)
            self.system.services.note_failure(name, error, (OSError, OperatorError))
            return False
        self.system.services.failures.settle(name)
        return True

    async def drain(self) -> None:
        """Begin nothing more, hand the lead over, and let this process's runs save and end, while the API answers them.

        Another process plans from then on, so that jobs start elsewhere while runs here still save.
        """
        self.leaves = True
        self.scheduler.pause()
        await self._hand_over()
        if self.agent is not None:
            await self.agent.drain()

    async def stop(self) -> None:
        """End all loops. What a sweep has begun is done first, for as long as requests would be waited for, too."""
        self.leaves = True
        self.scheduler.shutdown(wait=False)
        if self.attempts:
            await asyncio.wait(self.attempts, timeout=self.system.services.settings.shutdown_seconds)
        for task in (*self.tasks, *self.attempts):
            task.cancel()
        await asyncio.gather(*self.tasks, *self.attempts, return_exceptions=True)
        await self._hand_over()
        if self.agent is not None:
            await self.agent.close()
        if self.stripe is not None:
            self.stripe.access.close()

    async def _hand_over(self) -> None:
        """Give the lead up once the cycle that is under way is through, and wake the others: one takes it."""
        if self.plans:
            async with self.planning:
                await self.attempt("giving up the lead", self._give_up_lead)

    async def _give_up_lead(self) -> None:
        if self.memory.process_id is not None:
            async with self.system.work() as work:
                if await give_up_lead(work, self.memory.process_id):
                    log.info("the lead is handed over: another process plans from now on")
                    await wake_dispatcher(work.session)

    async def _tick(self) -> None:
        self._wake_up()

    def _wake_up(self, *, relays_only: bool = False) -> None:
        """Have the dispatcher go on; it does not plan where all that woke it has only something to relay."""
        self.relays_only = relays_only and (self.relays_only or not self.wake.is_set())
        self.wake.set()

    async def _listen(self) -> None:
        """Wake up when another transaction says so; reconnect for as long as it takes."""
        while True:
            await self.attempt(LISTENING, self._listen_once)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        url = without_driver(self.system.database.url)
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {WAKE_CHANNEL}".encode())
            self.system.services.failures.settle(LISTENING)
            self._wake_up()  # for what was notified while nobody listened
            async for notification in connection.notifies():
                self._hear(notification.payload)

    def _hear(self, what: str) -> None:
        """Wake up for what was notified; new jobs that could only be told why they wait are left for the next tick."""
        if what == FREED:
            self.pace.note_freed(time.monotonic())
        if what != SUBMITTED or self.pace.is_due(time.monotonic()):
            self._wake_up(relays_only=what == STARTED)

    async def _dispatch(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            plans, self.relays_only, self.telling_seconds = not self.relays_only, False, 0.0
            began = time.monotonic()
            if not await self.attempt("a scheduling cycle", partial(self.run_once, plans=plans)):
                await asyncio.sleep(RECONNECT_SECONDS)
                self._wake_up()
            took = max(0.0, time.monotonic() - began - self.telling_seconds)  # which has its own share of time
            await asyncio.sleep(compute_rest(took, has_started=self.has_started))

    async def run_once(self, *, plans: bool = True) -> None:
        """Run one scheduling cycle if it `plans` and that is due, then have relayed to the engine what is due."""
        if plans:
            async with self.planning:
                await self._plan_if_due()
        if self.agent is not None:
            await self.agent.begin_relay()

    async def _plan_if_due(self) -> None:
        if self.plans and not self.leaves and await self._is_cycle_due():
            began = time.monotonic()
            tells = self.pace.tells(began)
            result = await self._run_cycle(tells=tells)
            ended = time.monotonic()
            self.pace.note_cycle(began, ended, starts_more=result.starts_more)
            if tells and result.has_told:
                waiting, left = result.waiting, result.pieces_left
                self.pace.note_told(ended, result.telling_seconds, waiting=waiting, pieces_left=left)
            self.has_started, self.telling_seconds = result.started > 0, result.telling_seconds

    async def _run_cycle(self, *, tells: bool) -> CycleResult:
        """Run a cycle with what this process remembers; where it is not committed, that is begun anew."""
        try:
            async with self.system.work() as work:
                result = await run_cycle(work, self.usage, self._find_recorder(), self.memory, tells=tells)
                await self._note_cycle(work)
                return result
        except BaseException:
            self.memory.forget()
            raise

    async def _note_cycle(self, work: Work) -> None:
        """Note for alarms that cycles are planned, once a second at most, by who leads."""
        if self.noted_at is None or not timedelta() <= work.now - self.noted_at < NOTED_EVERY:
            self.noted_at = work.now
            if await find_lead(work, self.name) is Lead.OURS:
                await note_mark(work.session, PLANNED, by=self.name, now=work.now)

    def _find_recorder(self) -> CycleRecorder | None:
        """Find what records cycles; None where they are kept for no time at all."""
        return self.recorder if self.system.services.settings.recorded_cycle_days > 0 else None

    async def _is_cycle_due(self) -> bool:
        """Tell whether a job may be able to start, or it is time to tell the new ones why they wait."""
        if self.pace.is_due(time.monotonic()):
            return True
        async with self.system.work() as work:
            return await has_free_devices(work, self.memory)

    async def _sweep_when_heard(self) -> None:
        """Sweep silent runs, but only once every run has had a whole lease to report in since we began to listen."""
        settings = self.system.services.settings
        now = self.system.services.clock()
        stood_still = self.swept_at is not None and now - self.swept_at > timedelta(seconds=3 * settings.sweep_seconds)
        if self.heard_since is None or stood_still:  # we stood still, or the database did: heartbeats had no answer
            self.heard_since = now
        async with self.system.work() as work:
            silent = await list_silent_runs(work)
        self.swept_at = now
        if silent and now - self.heard_since >= timedelta(seconds=settings.lease_seconds):
            await self.sweep_silent_runs()

    async def sweep_silent_runs(self) -> None:
        """End runs whose heartbeats have stopped; each in a transaction of its own."""
        async with self.system.work() as work:
            silent = await list_silent_runs(work)
        for run_id in silent:
            told = {"run_id": run_id}
            log.warning("run %s is silent: it is billed to its last heartbeat", run_id, extra=told)
        await self.system.work_on(silent, lose_silent_run)

    async def keep_start_promises(self) -> None:
        """Keep what waiting jobs were told about their start, and tell those of whom it has slipped.

        It is done by who leads, and has told them. Until that knows what has changed it looks at all that wait: where
        they are many it takes a twentieth of one core, too.
        """
        began = time.monotonic()
        if began < self.promises_rest_until:
            return
        try:
            async with self.system.work() as work:
                lead = await find_lead(work, self.name)
                if lead is Lead.OTHERS:
                    return
                moved = self.memory.take_moved() if lead is Lead.OURS else None
                await keep_start_promises(work, moved)
        except BaseException:
            self.memory.moved = None
            raise
        ended = time.monotonic()
        self.promises_rest_until = ended + rest_at_leisure(ended - began)

    async def learn(self) -> None:
        """Learn from the jobs that finished since the last calibration, and judge how good their estimates were."""
        await estimator.learn(self.system)
        await self.accuracy.refresh(self.system)

    async def relay_to_stripe(self) -> None:
        """Ask Stripe for what is due there, and handle the events that it sent."""
        if self.stripe is not None:
            await self.stripe.run()

    async def reconcile_stripe(self) -> None:
        """Compare our books with what Stripe has; the log names every difference."""
        if self.stripe is not None:
            await self.stripe.reconcile()

    async def verify_books(self) -> None:
        """Verify the books for alarms, where no other process has within the hour; the log names what is broken.

        They are reconciled with it: finance's pages show what that found, and when.
        """
        async with self.system.work() as work:
            last = (await read_marks(work.session)).get(VERIFIED)
            if last is not None and timedelta() <= work.now - last.noted_at < VERIFIED_EVERY:
                return
            broken = [result for result in await verify_ledger(work.session) if result.broken]
            rows = sum(len(result.broken) for result in broken)
            await note_mark(work.session, VERIFIED, by=self.name, now=work.now, value=rows)
            differences = sum(len(link.differences) for link in await reconcile_books(work))
            await note_mark(work.session, RECONCILED, by=self.name, now=work.now, value=differences)
        for result in broken:
            log.error("the books break a rule, run `broker ledger verify`: %s (%s)", result.rule, result.broken[0])

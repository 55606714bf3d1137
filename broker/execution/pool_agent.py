"""The agent of one pool: registers what its engine has, has messages relayed to it, and watches its runs.

It runs within `broker serve`, or in a process of its own (`broker worker`). No engine is called inside a transaction.
Its runs are its own: no other agent ends them, and it ends no other's.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from broker import traces
from broker.capacity.agents import AgentCard, PoolServed
from broker.execution.capacity_watch import CapacityWatch
from broker.execution.engine import (
    Engine,
    EngineNotInstalled,
    EngineUnreachable,
    LaunchError,
    LaunchSpec,
    RunObservation,
    RunState,
)
from broker.execution.identity import AgentIdentity
from broker.execution.membership import Membership, Renewal
from broker.execution.relay import LAUNCH, Relay
from broker.identity.model import RunBearer, sign_run_token
from broker.jobs.rules.model import RUN_ENDS, RunStatus
from broker.jobs.running.evictions import find_grace
from broker.jobs.running.locked_run import find_runs, read_runs
from broker.jobs.running.runs import (
    extend_leases,
    find_active_runs,
    give_back_run,
    list_active_runs,
    list_unowned_runs,
    lose_run,
    own_runs,
)
from broker.jobs.service import Run
from broker.jobs.traced import find_traces_of_runs, read_traces
from broker.persistence import outbox
from broker.persistence.batches import Batches
from broker.system import System
from broker.work import Work

log = logging.getLogger(__name__)

# Shares of a lease: an agent that has no answer for the first stops its runs, and has stopped them after both.
FENCED_AFTER, FENCING_GRACE = 1 / 2, 1 / 4
MOST_LAUNCHES_AT_ONCE = 8


class AgentLeaves(Exception):
    """The agent starts nothing any more: it drains, or another has its pool."""


@dataclass
class PoolAgent:
    """Stands between the database and one engine; `identity` is that of its data directory.

    A process whose data directory or pool has another that serves it stands by: it relays and watches nothing until the
    place is free. So does one whose engine has not answered since it started (`is_detached`), until that answers.
    `fences`: others could give this machine's devices away, so runs are stopped before the lease ends.
    `held` are the runs that may have processes here, known also while the database is away. `owes_adoption`: what an
    earlier process left running is still to be adopted.
    """

    system: System
    pool: str
    engine: Engine
    identity: AgentIdentity
    membership: Membership
    engine_name: str = "local"
    fences: bool = False
    stands_by: bool = False
    is_detached: bool = False
    drains: bool = False
    owes_adoption: bool = True
    held: set[str] = field(default_factory=set)
    keeping: asyncio.Task[None] | None = None
    extended_at: float = -math.inf
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_LAUNCHES_AT_ONCE))

    @cached_property
    def relays(self) -> Relay:
        return Relay(self.system, self.recipients, self._launch, self._stop)

    @cached_property
    def launches(self) -> Batches[str, str, LaunchSpec | None]:
        return Batches(self._describe_launches, self.system.services.settings.turn_seconds)

    @cached_property
    def nodes(self) -> CapacityWatch:
        return CapacityWatch(self.engine, self.membership)

    @property
    def serves(self) -> bool:
        return not (self.stands_by or self.is_detached)

    async def register(self) -> None:
        """Take the pool, or wait: for another process of this data directory, or for an engine that does not answer.

        Raises: PoolServed; EngineNotInstalled.
        """
        try:
            capacity = await self.engine.capacity()
        except EngineNotInstalled:
            raise
        except EngineUnreachable as error:
            self._detach(error)
            return
        self.is_detached = False
        card = AgentCard(
            **vars(self.identity),
            pool=self.pool,
            engine=self.engine_name,
            sku=capacity.sku,
            gpus=capacity.gpus,
            nodes=capacity.nodes,
        )
        self.owes_adoption = True
        stood_by, self.stands_by = self.stands_by, not await self.membership.take(card)
        if self.stands_by and not stood_by:
            log.warning("another process serves pool %s from %s; standing by", self.pool, self.identity.data_dir)
        elif not self.stands_by:
            log.info("pool %s is served from %s: %d %s", self.pool, self.identity.data_dir, card.gpus, card.sku)

    async def start(self) -> None:
        """Register, unless that is done; adopt what an earlier process left running; keep the place from then on.

        What cannot be adopted since the database is away is adopted once it is back. Raises: PoolServed;
        EngineNotInstalled; OperationalError, where it cannot be registered.
        """
        if self.membership.card is None and self.serves:
            await self.register()
        await self._adopt_if_owed()
        self.keeping = asyncio.create_task(self._keep())

    async def _adopt_if_owed(self) -> None:
        if self.serves and self.owes_adoption:
            await self._try(f"adopting the runs of pool {self.pool}", self._adopt)

    def _detach(self, error: EngineUnreachable) -> None:
        if not self.is_detached:
            log.error("pool %s starts nothing before its engine answers, which is asked again: %s", self.pool, error)
        self.is_detached = True

    async def _adopt(self) -> None:
        """Adopt the runs that live: they could not report while nobody served. Those of no agent become our own."""
        own = await self._list_launched()
        async with self.system.work() as work:
            unowned = await list_unowned_runs(work, self.pool)
        try:
            seen = await self.engine.reconcile([*own, *unowned])
        except EngineUnreachable as error:
            self._detach(error)
            return
        alive = [run.run_id for run in seen if not run.is_over]
        self.held |= {*own, *alive}
        if alive:
            log.info("adopted %d runs of pool %s", len(alive), self.pool)
            async with self.system.work() as work:
                await own_runs(work, alive, self.identity.id)
                await extend_leases(work, alive)
        self.owes_adoption = False

    @property
    def recipients(self) -> tuple[str, str]:
        return self.identity.id, self.pool

    async def _list_launched(self) -> list[str]:
        """List the active runs that the engine must know of: those whose launch is not still in the outbox."""
        asked = [find_active_runs(self.identity.id), outbox.find_unlaunched(self.recipients)]
        active, waiting = ([run_id for (run_id,) in rows] for rows in await self.system.read(asked))
        return [run_id for run_id in active if run_id not in waiting]

    async def _keep(self) -> None:
        """Keep the place, or wait for it, for as long as we run."""
        what = f"keeping the place of the agent of pool {self.pool}"
        while True:
            await asyncio.sleep(self.membership.renewal_seconds)
            await self._try(what, self.keep_once)

    async def _try(self, what: str, act: Callable[[], Awaitable[None]]) -> None:
        """Try what is tried again for as long as we run."""
        try:
            await act()
            self.system.services.failures.settle(what)
        except Exception as error:  # noqa: BLE001 (whatever it is, the next attempt may work)
            self.system.services.note_failure(what, error)

    async def keep_once(self) -> None:
        """Renew the lease, and stop our own runs before it ends where nobody answers, or where another has the pool."""
        if not self.serves:
            await self._take_up()
            return
        renewal = await self.membership.renew()
        if renewal == Renewal.LOST:
            log.error("pool %s is another agent's by now: this one was silent; it stops what it runs", self.pool)
            self.stands_by = True
            await self._fence()
        elif renewal == Renewal.FAILED and self._is_running_out():
            log.error("the lease of pool %s cannot be renewed: stopping its runs before it ends", self.pool)
            await self._fence()
        elif renewal == Renewal.KEPT:
            self.nodes.follow()
            await self._adopt_if_owed()

    async def _take_up(self) -> None:
        try:
            await self.register()
        except PoolServed as refusal:
            log.debug("%s", refusal)
            return
        if self.serves:
            log.info("serving pool %s", self.pool)
            await self._adopt_if_owed()

    def _is_running_out(self) -> bool:
        lease_seconds = self.system.services.settings.lease_seconds
        return self.fences and bool(self.held) and self.membership.seconds_unrenewed >= FENCED_AFTER * lease_seconds

    async def _fence(self) -> None:
        """Stop every run that may have a process here, without asking the database."""
        runs = set(self.held)
        await self._stop_all(runs, FENCING_GRACE * self.system.services.settings.lease_seconds)
        self.held -= runs

    async def _stop_all(self, run_ids: Iterable[str], grace_seconds: float) -> None:
        stops = [self.engine.stop(run_id, grace_seconds=grace_seconds) for run_id in run_ids]
        for outcome in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("a run could not be stopped: %s", outcome)

    async def begin_relay(self) -> None:
        """Have every message that is due handed to the engine, and wait for none: a slow engine delays no cycle."""
        if self.serves:
            await self.relays.begin(launches=not self.drains)

    async def relay(self) -> None:
        """Have every message that is due handed to the engine; returns once what is to be launched has been."""
        await self.begin_relay()
        await self.relays.settle(LAUNCH)

    async def _launch(self, run_id: str) -> None:
        self._refuse_if_leaving()
        spec = await self.launches.ask(self.pool, run_id)
        if spec is None:
            return
        try:
            async with self.turns:
                self._refuse_if_leaving()
                self.held.add(run_id)  # from now on it may have a process
                await self._launch_traced(spec)
        except LaunchError as error:
            log.warning("%s", error)
            self.held.discard(run_id)
            async with self.system.work() as work:
                await lose_run(work, run_id, f"it could not be started: {error.detail}")

    async def _launch_traced(self, spec: LaunchSpec) -> None:
        told = {"run.id": spec.run_id, "job.id": spec.job_id, "pool": self.pool, "engine": self.engine_name}
        with traces.span("launch", parent=spec.traceparent, kind="CONSUMER", attributes=told):
            await self.engine.launch(replace(spec, traceparent=traces.find_traceparent()))

    def _refuse_if_leaving(self) -> None:
        if self.drains or not self.serves:
            raise AgentLeaves(f"the agent of pool {self.pool} starts nothing more")

    async def _stop(self, run_id: str) -> None:
        """Stop a run, which has its grace once: a process that goes on with the stop of an earlier one counts that."""
        async with self.system.work() as work:
            used = work.now - await outbox.begin_stop(work.session, run_id, now=work.now)
            grace_seconds = await find_grace(work, run_id) - used.total_seconds()
        await self.engine.stop(run_id, grace_seconds=max(0.0, grace_seconds))

    async def _describe_launches(self, _pool: str, run_ids: Sequence[str]) -> list[LaunchSpec | None]:
        """Describe what the engine needs to launch runs; None: it has ended before its start, or is another's."""
        ours = [run for run in read_runs(await self.system.read([find_runs(run_ids)])) if self._may_launch(run)]
        parents = await self._find_parents(ours)
        unowned = [run.id for run in ours if run.agent_id is None]
        if unowned:
            async with self.system.work() as work:
                await own_runs(work, unowned, self.identity.id)
        described = {run.id: self._describe(run, parents.get(run.id)) for run in ours}
        return [described.get(run_id) for run_id in run_ids]

    def _may_launch(self, run: Run) -> bool:
        return RunStatus(run.status) not in RUN_ENDS and run.agent_id in {None, self.identity.id}

    async def _find_parents(self, runs: Sequence[Run]) -> Mapping[str, str]:
        """Find the traceparents of runs; it asks for none where this process traces nothing."""
        asked = find_traces_of_runs([run.job_id for run in runs])
        return read_traces(await self.system.read(asked)) if asked else {}

    def _describe(self, run: Run, traceparent: str | None) -> LaunchSpec:
        services = self.system.services
        return LaunchSpec(
            run_id=run.id,
            job_id=run.job_id,
            fence_token=run.fence_token,
            run_token=sign_run_token(services.secret, RunBearer(run.id, run.customer_id)),
            gpus=run.gpus,
            broker_url=services.settings.worker_url,
            node=run.node,
            traceparent=traceparent,
        )

    async def watch(self) -> None:
        """End our own runs whose process is gone without having reported its end."""
        if not self.serves:
            return
        run_ids = await self._list_launched()
        self.held = {*run_ids, *self.relays.launching}
        if not run_ids:
            return
        seen = await self.engine.reconcile(run_ids)
        ended = {run.run_id: run for run in seen if run.is_over}

        async def lose(work: Work, run_id: str) -> None:
            await lose_run(work, run_id, describe_end(ended[run_id]))

        await self.system.work_on(ended, lose)
        await self._bear_with([run.run_id for run in seen if run.state == RunState.WAITING])

    async def _bear_with(self, waiting: list[str]) -> None:
        """Extend the leases of runs in the line of the engine itself: they have no process yet that could report."""
        lease_seconds = self.system.services.settings.lease_seconds
        if waiting and self.membership.monotonic() - self.extended_at >= lease_seconds / 3:
            async with self.system.work() as work:
                await extend_leases(work, waiting)
            self.extended_at = self.membership.monotonic()

    async def drain(self) -> None:
        """Take no more starts, let the runs save and end within their grace, and say goodbye: the pool closes at once.

        A run that has not reported its end by then is given back, too: its job goes on from the last checkpoint.
        """
        if self.stands_by or self.membership.card is None:
            return
        self.drains = True
        await self.membership.drain()
        await self.relays.settle(LAUNCH, seconds=self.system.services.settings.stop_grace_seconds)
        async with self.system.work() as work:
            run_ids = await list_active_runs(work, self.identity.id)
        log.info("pool %s drains: %d runs are asked to save and end", self.pool, len(run_ids))
        await self._stop_all({*run_ids, *self.held}, self.system.services.settings.stop_grace_seconds)
        await self.system.work_on(run_ids, give_back_run)
        await self.membership.leave()

    async def close(self) -> None:
        """Stop keeping the place and waiting for calls that are under way; runs that still run go on."""
        if self.keeping is not None:
            self.keeping.cancel()
            await asyncio.gather(self.keeping, return_exceptions=True)
        await self.nodes.close()
        await self.relays.close()
        await self.engine.close()
        await self.membership.close()


def describe_end(run: RunObservation) -> str:
    """Describe, for people, how a run ended that did not report its end itself."""
    code = "unknown exit code" if run.exit_code is None else f"exit code {run.exit_code}"
    return f"its process ended without a report ({code})" + (f": {run.detail}" if run.detail else "")

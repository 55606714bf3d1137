"""The agent of one pool: registers what its engine has, relays messages to it, and watches its runs.

It runs within `broker serve`, or in a process of its own (`broker worker`). No engine is called inside a transaction.
Its runs are its own: no other agent ends them, and it ends no other's.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from broker.capacity.agents import AgentCard, PoolServed
from broker.capacity.model import NodeState
from broker.execution.engine import (
    Capacity,
    Engine,
    EngineUnreachable,
    LaunchError,
    LaunchSpec,
    RunObservation,
    RunState,
)
from broker.execution.identity import AgentIdentity
from broker.execution.membership import Membership, Renewal
from broker.identity.model import RunBearer, sign_run_token
from broker.jobs.rules.model import RUN_ENDS, RunStatus
from broker.jobs.running.locked_run import get_run
from broker.jobs.running.runs import (
    extend_leases,
    give_back_run,
    list_active_runs,
    list_unowned_runs,
    lose_run,
    own_runs,
)
from broker.persistence import outbox
from broker.persistence.database import wake_dispatcher
from broker.persistence.outbox import PendingMessage
from broker.system import System
from broker.work import Work

log = logging.getLogger(__name__)

# Shares of a lease: an agent that has no answer for the first stops its runs, and has stopped them after both.
FENCED_AFTER, FENCING_GRACE = 1 / 2, 1 / 4
CAPACITY_SECONDS = 10.0  # between two looks at which nodes an engine has


@dataclass
class PoolAgent:
    """Stands between the database and one engine; `identity` is that of its data directory.

    A process whose data directory or pool has another that serves it stands by: it relays and watches nothing until the
    place is free. `fences`: others could give this machine's devices away, so runs are stopped before the lease ends.
    `held` are the runs that may have processes here, known also while the database is away.
    """

    system: System
    pool: str
    engine: Engine
    identity: AgentIdentity
    membership: Membership
    engine_name: str = "local"
    fences: bool = False
    stands_by: bool = False
    drains: bool = False
    held: set[str] = field(default_factory=set)
    stopping: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    keeping: asyncio.Task[None] | None = None
    extended_at: float = -math.inf
    counted_at: float = -math.inf
    counting: asyncio.Task[None] | None = None

    async def register(self) -> None:
        """Take the pool, or stand by where another process of this data directory has it. Raises: PoolServed."""
        capacity = await self.engine.capacity()
        card = AgentCard(
            **vars(self.identity),
            pool=self.pool,
            engine=self.engine_name,
            sku=capacity.sku,
            gpus=capacity.gpus,
            nodes=capacity.nodes,
        )
        stood_by, self.stands_by = self.stands_by, not await self.membership.take(card)
        if self.stands_by and not stood_by:
            log.warning("another process serves pool %s from %s; standing by", self.pool, self.identity.data_dir)
        elif not self.stands_by:
            log.info("pool %s is served from %s: %d %s", self.pool, self.identity.data_dir, card.gpus, card.sku)

    async def start(self) -> None:
        """Register, unless that is done; adopt what an earlier process left running; keep the place from then on."""
        if self.membership.card is None and not self.stands_by:
            await self.register()
        if not self.stands_by:
            await self._adopt()
        self.keeping = asyncio.create_task(self._keep())

    async def _adopt(self) -> None:
        """Adopt the runs that live: they could not report while nobody served. Those of no agent become our own."""
        async with self.system.work() as work:
            own = await self._list_launched(work)
            unowned = await list_unowned_runs(work, self.pool)
        seen = await self.engine.reconcile([*own, *unowned])
        alive = [run.run_id for run in seen if not run.is_over]
        self.held |= {*own, *alive}
        if alive:
            log.info("adopted %d runs of pool %s", len(alive), self.pool)
            async with self.system.work() as work:
                await own_runs(work, alive, self.identity.id)
                await extend_leases(work, alive)

    @property
    def recipients(self) -> tuple[str, str]:
        return self.identity.id, self.pool

    async def _list_launched(self, work: Work) -> list[str]:
        """List the active runs that the engine must know of: those whose launch is not still in the outbox."""
        active = await list_active_runs(work, self.identity.id)
        waiting = await outbox.list_unlaunched(work.session, self.recipients)
        return [run_id for run_id in active if run_id not in waiting]

    async def _keep(self) -> None:
        """Keep the place, or wait for it, for as long as we run."""
        while True:
            await asyncio.sleep(self.membership.renewal_seconds)
            try:
                await self.keep_once()
            except Exception:
                log.exception("the agent of pool %s could not keep its place; trying again", self.pool)

    async def keep_once(self) -> None:
        """Renew the lease, and stop our own runs before it ends where nobody answers, or where another has the pool."""
        if self.stands_by:
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
            self._follow_capacity()

    def _follow_capacity(self) -> None:
        """Look every so often which nodes the engine has, beside the renewals: one that is away is slow to say so."""
        now, is_looking = self.membership.monotonic(), self.counting is not None and not self.counting.done()
        if not is_looking and now - self.counted_at >= CAPACITY_SECONDS:
            self.counted_at, self.counting = now, asyncio.create_task(self._tell_capacity())

    async def _tell_capacity(self) -> None:
        """Tell when nodes came or went; while the engine does not answer they are down."""
        card = self.membership.card
        assert card is not None, "the place was taken"
        known, said = Capacity(card.sku, card.gpus, card.nodes), ""
        try:
            capacity = await self.engine.capacity()
        except EngineUnreachable as error:
            capacity, said = known.while_unreachable, f": {error}"
        if capacity == known:
            return
        is_open = any(node.state is NodeState.OPEN for node in capacity.nodes)
        log.log(logging.INFO if is_open else logging.ERROR, "the nodes of pool %s changed%s", self.pool, said)
        try:
            await self.membership.tell(replace(card, gpus=capacity.gpus, nodes=capacity.nodes))
        except Exception:
            log.exception("the nodes of pool %s could not be told; trying again", self.pool)

    async def _take_up(self) -> None:
        try:
            await self.register()
        except PoolServed as refusal:
            log.debug("%s", refusal)
            return
        if not self.stands_by:
            log.info("serving pool %s", self.pool)
            await self._adopt()

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

    async def relay(self) -> None:
        """Hand every message that is due to the engine, oldest first; a failing one is put off and stops no other."""
        if self.stands_by:
            return
        async with self.system.work() as work:
            messages = await outbox.list_pending(
                work.session, self.recipients, now=work.now, under_way=self.stopping.keys()
            )
        for message in messages:
            if message.kind == "stop":
                self.stopping[message.id] = asyncio.create_task(self._relay_stop(message))
            elif not self.drains:
                await self._deliver(message, self._launch(message.run_id))

    async def _deliver(self, message: PendingMessage, call: Coroutine[Any, Any, None]) -> None:
        """Make the call that a message asks for; mark the message as done, or put it off where the call fails."""
        try:
            await call
        except Exception as error:  # noqa: BLE001 (whatever an engine raises, the message is tried again)
            log.warning("%s of run %s failed: %s", message.kind, message.run_id, error)
            async with self.system.work() as work:
                await outbox.mark_failed(work.session, message.id, f"{type(error).__name__}: {error}", now=work.now)
        else:
            async with self.system.work() as work:
                await outbox.mark_done(work.session, message.id, now=work.now)
                if message.kind == "stop":  # its devices are free now
                    await wake_dispatcher(work.session)

    async def _launch(self, run_id: str) -> None:
        spec = await self._launch_spec(run_id)
        if spec is None:
            return
        try:
            await self.engine.launch(spec)
        except LaunchError as error:
            log.warning("%s", error)
            async with self.system.work() as work:
                await lose_run(work, run_id, f"it could not be started: {error.detail}")
        else:
            self.held.add(run_id)

    async def _launch_spec(self, run_id: str) -> LaunchSpec | None:
        """Build what the engine needs to launch a run; None where it has ended before its start, or is another's."""
        async with self.system.work() as work:
            run = await get_run(work, run_id)
            if RunStatus(run.status) in RUN_ENDS or run.agent_id not in {None, self.identity.id}:
                return None
            await own_runs(work, [run_id], self.identity.id)
        services = self.system.services
        return LaunchSpec(
            run_id=run.id,
            job_id=run.job_id,
            fence_token=run.fence_token,
            run_token=sign_run_token(services.secret, RunBearer(run.id, run.customer_id)),
            gpus=run.gpus,
            broker_url=services.settings.worker_url,
        )

    async def _relay_stop(self, message: PendingMessage) -> None:
        grace_seconds = self.system.services.settings.stop_grace_seconds
        try:
            await self._deliver(message, self.engine.stop(message.run_id, grace_seconds=grace_seconds))
        except Exception:
            log.exception("could not note the stop of run %s; it is stopped again", message.run_id)
        finally:
            del self.stopping[message.id]

    async def watch(self) -> None:
        """End our own runs whose process is gone without having reported its end."""
        if self.stands_by:
            return
        async with self.system.work() as work:
            run_ids = await self._list_launched(work)
        self.held = set(run_ids)
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
        async with self.system.work() as work:
            run_ids = await list_active_runs(work, self.identity.id)
        log.info("pool %s drains: %d runs are asked to save and end", self.pool, len(run_ids))
        await self._stop_all({*run_ids, *self.held}, self.system.services.settings.stop_grace_seconds)
        await self.system.work_on(run_ids, give_back_run)
        await self.membership.leave()

    async def close(self) -> None:
        """Stop keeping the place and waiting for stops that are under way; runs that still run go on."""
        tasks = [*self.stopping.values(), *(task for task in (self.keeping, self.counting) if task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.engine.close()
        await self.membership.close()


def describe_end(run: RunObservation) -> str:
    """Describe, for people, how a run ended that did not report its end itself."""
    code = "unknown exit code" if run.exit_code is None else f"exit code {run.exit_code}"
    return f"its process ended without a report ({code})" + (f": {run.detail}" if run.detail else "")

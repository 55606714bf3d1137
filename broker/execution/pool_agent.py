"""The agent of one pool: registers what its engine has, relays messages to it, and watches its runs.

It runs within `broker serve`, or in a process of its own (`broker worker`). No engine is called inside a transaction.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from broker.capacity.service import register_pool
from broker.execution.engine import Engine, LaunchSpec, RunState
from broker.identity.model import RunBearer, sign_run_token
from broker.jobs.locked_run import get_run
from broker.jobs.model import RUN_ENDS, RunStatus
from broker.jobs.runs import extend_leases, list_active_runs, lose_run
from broker.persistence import outbox
from broker.persistence.database import wake_dispatcher
from broker.persistence.outbox import PendingMessage
from broker.system import System
from broker.work import Work

log = logging.getLogger(__name__)


@dataclass
class PoolAgent:
    """Stands between the database and one engine. Several agents of one pool may run; launching is idempotent."""

    system: System
    pool: str
    engine: Engine
    engine_name: str = "local"
    stopping: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def start(self) -> None:
        """Register the pool; adopt what an earlier process left running: it could not report while nobody served."""
        capacity = await self.engine.capacity()
        async with self.system.work() as work:
            await register_pool(
                work, name=self.pool, sku=capacity.sku, engine=self.engine_name, total_gpus=capacity.gpus
            )
            run_ids = await self._list_launched(work)
        seen = await self.engine.reconcile(run_ids)
        alive = [run.run_id for run in seen if run.state == RunState.ALIVE]
        if alive:
            log.info("adopted %d runs of pool %s", len(alive), self.pool)
            async with self.system.work() as work:
                await extend_leases(work, alive)

    async def _list_launched(self, work: Work) -> list[str]:
        """List the active runs that the engine must know of: those whose launch is not still in the outbox."""
        active = await list_active_runs(work, self.pool)
        waiting = await outbox.list_unlaunched(work.session, self.pool)
        return [run_id for run_id in active if run_id not in waiting]

    async def relay(self) -> None:
        """Hand every message that is due to the engine, oldest first; a failing one is put off and stops no other."""
        async with self.system.work() as work:
            messages = await outbox.list_pending(work.session, self.pool, now=work.now, under_way=self.stopping.keys())
        for message in messages:
            if message.kind == "launch":
                await self._deliver(message, self._launch(message.run_id))
            else:
                self.stopping[message.id] = asyncio.create_task(self._relay_stop(message))

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
        if spec is not None:
            await self.engine.launch(spec)

    async def _launch_spec(self, run_id: str) -> LaunchSpec | None:
        """Build what the engine needs to launch a run; None where the run has ended before it was ever started."""
        async with self.system.work() as work:
            run = await get_run(work, run_id)
        if RunStatus(run.status) in RUN_ENDS:
            return None
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
        """End the runs whose process is gone without having reported its end."""
        async with self.system.work() as work:
            run_ids = await self._list_launched(work)
        if not run_ids:
            return
        ended = {seen.run_id: seen for seen in await self.engine.reconcile(run_ids) if seen.state != RunState.ALIVE}

        async def lose(work: Work, run_id: str) -> None:
            exit_code = ended[run_id].exit_code
            code = "unknown exit code" if exit_code is None else f"exit code {exit_code}"
            await lose_run(work, run_id, f"its process ended without a report ({code})")

        await self.system.work_on(ended, lose)

    async def close(self) -> None:
        """Stop waiting for stops that are under way; the runs go on."""
        for task in list(self.stopping.values()):
            task.cancel()
        await asyncio.gather(*self.stopping.values(), return_exceptions=True)

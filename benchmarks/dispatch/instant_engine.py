"""An engine whose runs end as soon as they are launched: what is left is what the broker itself takes."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from zlib import crc32

from broker.capacity.readiness import command_good_starts
from broker.execution.engine import Capacity, LaunchSpec, RunObservation, RunState
from broker.identity.model import read_run_token
from broker.jobs.events import collect_events, command_events
from broker.jobs.rules.model import RunStatus
from broker.jobs.running.locked_run import lock_runs, read_locked_runs
from broker.jobs.running.runs import claim_run
from broker.metering.events.model import UsageCloudEvent
from broker.persistence.batches import Batches
from broker.system import System
from broker.workers.finishing import Finish, take_ends
from broker.workers.joint_reports import GROUPS
from broker.workers.model import Report, RunEnd
from tests.broker.factories import usage_event

# The end of a run without an adapter: its customer's data were no good, so its usage is charged all the same.
OUTCOME, ERROR = RunStatus.FAILED, {"code": "bad_input", "message": "it ends at once"}
# Within what its hold has: a run that trains what was counted is the usual one.
TOKENS = 100
PATIENCE_SECONDS = 600.0


@dataclass
class InstantEngine:
    """Has each run claimed and finished, with an interval of usage, the moment that it is launched.

    `all_ended` is set once so many have ended as it `expects`.
    """

    system: System
    slots: int
    expects: int
    ended: int = 0
    all_ended: asyncio.Event = field(default_factory=asyncio.Event)
    ends: set[asyncio.Task[None]] = field(default_factory=set)

    async def capacity(self) -> Capacity:
        return Capacity("cpu", self.slots)

    async def launch(self, spec: LaunchSpec) -> str:
        end = asyncio.create_task(self._end(spec))
        self.ends.add(end)
        end.add_done_callback(self.ends.discard)
        return spec.run_id

    @cached_property
    def finishes(self) -> Batches[int, LaunchSpec, RunEnd]:
        return Batches(self._finish, PATIENCE_SECONDS)

    async def _end(self, spec: LaunchSpec) -> None:
        """End a run together with others of its group of customers, as the reports of workers are taken."""
        bearer = read_run_token(self.system.services.secret, spec.run_token)
        assert bearer is not None
        await self.finishes.ask(crc32(bearer.customer_id.encode()) % GROUPS, spec)
        self.ended += 1
        if self.ended == self.expects:
            self.all_ended.set()

    async def _finish(self, _group: int, specs: Sequence[LaunchSpec]) -> Sequence[RunEnd | Exception]:
        """Claim runs and end them, as workers' requests that come together are taken: it is one moment of each."""
        run_ids = [spec.run_id for spec in specs]
        async with self.system.work() as work:
            runs = read_locked_runs(await work.run_together(lock_runs(run_ids, seen_by=None)))
            with collect_events([work]) as claims:
                pools = {locked.run.pool for locked in runs.by_id.values() if claim_run(work, locked)}
            ends = await take_ends(runs, [(work, write_finish(spec, work.now)) for spec in specs])
            await work.run_together([*command_events(claims), *command_good_starts(pools)])
            return ends

    async def stop(self, run_id: str, *, grace_seconds: float) -> None:
        """Stop nothing: no run goes on."""

    async def reconcile(self, run_ids: Iterable[str]) -> list[RunObservation]:
        return [RunObservation(run_id, RunState.ALIVE) for run_id in run_ids]

    async def close(self) -> None:
        await asyncio.gather(*self.ends)


def write_finish(spec: LaunchSpec, moment: datetime) -> Finish:
    """Write the end of a run, with its only interval: a GPU-second and some tokens."""
    told = usage_event(spec.run_id, gpu_seconds=1, tokens=TOKENS, started_at=moment, ended_at=moment)
    return Finish(spec.run_id, spec.fence_token, OUTCOME, Report(usage=[UsageCloudEvent.model_validate(told)]), ERROR)

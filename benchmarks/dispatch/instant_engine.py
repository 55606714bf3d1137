"""An engine whose runs end as soon as they are launched: what is left is what the broker itself takes."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from broker.execution.engine import Capacity, LaunchSpec, RunObservation, RunState
from broker.system import System


class TakesEnds(Protocol):
    """A process of the broker that answers workers."""

    async def end(self, spec: LaunchSpec) -> None: ...


@dataclass
class InstantEngine:
    """Has each run claimed and finished, with an interval of usage, the moment that it is launched.

    `reports` takes what its runs report. `all_ended` is set once so many have ended as it `expects`.
    """

    system: System
    slots: int
    expects: int
    reports: TakesEnds
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

    async def _end(self, spec: LaunchSpec) -> None:
        await self.reports.end(spec)
        self.ended += 1
        if self.ended == self.expects:
            self.all_ended.set()

    async def stop(self, run_id: str, *, grace_seconds: float) -> None:
        """Stop nothing: no run goes on."""

    async def reconcile(self, run_ids: Iterable[str]) -> list[RunObservation]:
        return [RunObservation(run_id, RunState.ALIVE) for run_id in run_ids]

    async def close(self) -> None:
        await asyncio.gather(*self.ends)

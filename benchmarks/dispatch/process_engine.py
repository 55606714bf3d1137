"""An engine whose runs are processes of `/bin/true`, started by the broker's own engine for one machine."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from benchmarks.dispatch.instant_engine import InstantEngine
from broker.execution.devices import NO_DEVICE, VISIBLE_DEVICES
from broker.execution.engine import LaunchSpec, RunState
from broker.execution.local import LocalEngine

COMMAND = ("/bin/true",)
LOOK_SECONDS = 0.1


@dataclass
class ProcessEngine(InstantEngine):
    """Starts each run as `local` does, and has it claimed and finished once its process has ended.

    The slots pretend to be GPUs, as those of a `simulated` pool do.
    """

    running: dict[str, asyncio.Event] = field(default_factory=dict)
    looking: asyncio.Task[None] | None = None

    @cached_property
    def local(self) -> LocalEngine:
        folder = self.system.services.settings.data_dir / "runs"
        return LocalEngine(folder, slots=self.slots, command=COMMAND, environ={VISIBLE_DEVICES: NO_DEVICE})

    async def launch(self, spec: LaunchSpec) -> str:
        self.running[spec.run_id] = asyncio.Event()
        if self.looking is None:
            self.looking = asyncio.create_task(self._look())
        await self.local.launch(spec)
        return await super().launch(spec)

    async def _end(self, spec: LaunchSpec) -> None:
        await self.running[spec.run_id].wait()
        del self.running[spec.run_id]
        await super()._end(spec)

    async def _look(self) -> None:
        """Look again and again which processes have ended."""
        while True:
            for seen in await self.local.reconcile(list(self.running)):
                if seen.state is RunState.EXITED:
                    self.running[seen.run_id].set()
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        if self.looking is not None:
            self.looking.cancel()
            with suppress(asyncio.CancelledError):
                await self.looking
        await super().close()
        await self.local.close()

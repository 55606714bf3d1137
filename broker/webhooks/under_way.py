"""Attempts that a process makes side by side: what is slow keeps nothing else from being begun."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import Generic, TypeVar

# So often it is looked for more that is due, while something is under way.
LOOK_SECONDS = 0.5
Kept = TypeVar("Kept")


@dataclass
class UnderWay(Generic[Kept]):
    """The attempts under way, each with what is to be known of it meanwhile."""

    kept: dict[asyncio.Task[None], Kept] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.kept)

    def list_kept(self) -> Collection[Kept]:
        return self.kept.values()

    def begin(self, attempt: Coroutine[None, None, None], kept: Kept, *, name: str) -> None:
        self.kept[asyncio.create_task(attempt, name=name)] = kept

    async def work_off(self, begin_due: Callable[[], Awaitable[None]]) -> None:
        """Have what is due begun until nothing is due and nothing under way. Whatever ends it before ends all."""
        try:
            while True:
                await begin_due()
                if not self.kept:
                    return
                wait = asyncio.wait(self.kept, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in (await wait)[0]:
                    del self.kept[task]
                    task.result()
        finally:
            await self._stop()

    async def _stop(self) -> None:
        for task in self.kept:
            task.cancel()
        await asyncio.gather(*self.kept, return_exceptions=True)
        self.kept.clear()

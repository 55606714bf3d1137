"""The virtual time of a history: a clock that only it moves, ids of that time, and what happens when."""

import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from ulid import ULID

Act = Callable[[], Awaitable[None]]
MILLISECONDS = 1000
TICK = timedelta(minutes=30)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def find_tick(moment: datetime, tick: timedelta = TICK) -> datetime:
    """Find the end of the tick that a moment lies in: what happens within one is told together. Pure."""
    return moment + (EPOCH - moment) % tick


@dataclass
class VirtualClock:
    """A clock that stands still until it is moved, and never goes back."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def move_to(self, moment: datetime) -> None:
        self.now = max(self.now, moment)


@dataclass
class SeededIds:
    """Makes ids of the clock's time, in their order; the same seed makes the same ones."""

    clock: VirtualClock
    random: Random
    made: "itertools.count[int]" = field(default_factory=itertools.count)

    def __call__(self, prefix: str) -> str:
        moment = int(self.clock.now.timestamp() * MILLISECONDS).to_bytes(6, "big")
        tail = next(self.made).to_bytes(4, "big") + self.random.randbytes(6)
        return f"{prefix}_{str(ULID.from_bytes(moment + tail)).lower()}"


@dataclass
class Timeline:
    """What is still to happen, each at its moment; of one moment in the order in which it was planned."""

    clock: VirtualClock
    planned: list[tuple[datetime, int, Act]] = field(default_factory=list)
    order: "itertools.count[int]" = field(default_factory=itertools.count)

    def at(self, moment: datetime, act: Act) -> None:
        heapq.heappush(self.planned, (moment, next(self.order), act))

    async def live_until(self, end: datetime, after_each: Act) -> None:
        """Let everything happen that is planned before a moment; after all of one moment follows `after_each`."""
        while self.planned and self.planned[0][0] < end:
            moment = self.planned[0][0]
            self.clock.move_to(moment)
            while self.planned and self.planned[0][0] == moment:
                _moment, _order, act = heapq.heappop(self.planned)
                await act()
            await after_each()
        self.clock.move_to(end)

"""Placing holds as fast as answers come: so many callers, each with the next hold as soon as its last is placed."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

CALLERS, CONNECTIONS = 256, 10
GPU_SECONDS, PLENTY = 60, 10**9
SECONDS, ROUNDS = 1.5, 3


@dataclass(frozen=True)
class Account:
    """What holds are placed on, and whose it is."""

    owner: str
    id: str


@dataclass
class Side:
    """A way to place holds on its own accounts, and what it has answered so far."""

    place: Callable[[Account], Awaitable[object]]
    accounts: Sequence[Account]
    placed: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Holds a second."""
        return self.placed / self.seconds

    async def load(self, seconds: float = SECONDS) -> None:
        """Place holds for so long, on one account after the other."""
        order = itertools.cycle(self.accounts)
        begun = time.monotonic()

        async def call() -> None:
            while time.monotonic() < begun + seconds:
                await self.place(next(order))
                self.placed += 1

        await asyncio.gather(*(call() for _ in range(CALLERS)))
        self.seconds += time.monotonic() - begun


async def take_turns(sides: Sequence[Side]) -> None:
    """Load one side after the other, several times: what else the machine does meets them all."""
    for _ in range(ROUNDS):
        for side in sides:
            await side.load()

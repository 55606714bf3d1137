"""An agent's place at its pool: taken when it starts, renewed while it lives, given up when it leaves.

The renewal is a lease by time. A broker that has not seen an agent for a lease gives its pool away; the agent, which
counts on its monotonic clock from the moment at which it began to ask, knows earlier that it cannot rely on it.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Self

from broker.capacity.agents import AgentCard, drain_agent, register_agent, renew_agent, retire_agent, tell_capacity
from broker.execution.identity import AgentLock
from broker.execution.machine_load import read_machine_load
from broker.persistence.database import Database, open_database
from broker.system import System

MOST_RENEWAL_SECONDS = 2.0


class Renewal(Enum):
    """KEPT: the place is ours. LOST: another agent has it. FAILED: nobody answered."""

    KEPT = auto()
    LOST = auto()
    FAILED = auto()


@dataclass
class Membership:
    """The place of one agent. `lock` None: there is one process only, as in tests.

    `own_database` is a connection for nothing but renewals: requests that take all others must not end a lease.
    """

    system: System
    lock: AgentLock | None = None
    own_database: Database | None = None
    monotonic: Callable[[], float] = time.monotonic
    card: AgentCard | None = None
    renewed_at: float = -math.inf
    asking: asyncio.Task[bool] | None = None
    asked_at: float = -math.inf

    @classmethod
    def with_own_connection(cls, system: System, lock: AgentLock) -> Self:
        database = open_database(system.database.url, pool_size=1)
        return cls(replace(system, database=database), lock, database)

    @property
    def renewal_seconds(self) -> float:
        return min(MOST_RENEWAL_SECONDS, self.system.services.settings.lease_seconds / 6)

    @property
    def seconds_unrenewed(self) -> float:
        return self.monotonic() - self.renewed_at

    async def take(self, card: AgentCard) -> bool:
        """Take the place; False while another process of the data directory has it. Raises: PoolServed."""
        if self.lock is not None and not self.lock.acquire():
            return False
        began = self.monotonic()
        async with self.system.work() as work:
            await register_agent(work, card)
        self.card, self.renewed_at = card, began
        return True

    async def tell(self, card: AgentCard) -> None:
        """Tell what the pool has now: nodes came or went."""
        async with self.system.work() as work:
            await tell_capacity(work, card)
        self.card = card

    async def renew(self) -> Renewal:
        """Ask for the lease once more, or wait on for what was asked last, for as long as a renewal may take."""
        if self.asking is None:
            self.asking, self.asked_at = asyncio.create_task(self._ask()), self.monotonic()
        done, _ = await asyncio.wait({self.asking}, timeout=self.renewal_seconds)
        if not done:
            return Renewal.FAILED
        asked, self.asking = self.asking, None
        if asked.cancelled() or asked.exception() is not None:
            return Renewal.FAILED
        if not asked.result():
            return Renewal.LOST
        self.renewed_at = self.asked_at
        return Renewal.KEPT

    async def _ask(self) -> bool:
        assert self.card is not None, "the place was taken"
        async with self.system.work() as work:
            return await renew_agent(work, self.card, read_machine_load())

    async def drain(self) -> None:
        assert self.card is not None, "the place was taken"
        async with self.system.work() as work:
            await drain_agent(work, self.card)

    async def leave(self) -> None:
        """Say goodbye: the pool is free for another agent at once."""
        assert self.card is not None, "the place was taken"
        async with self.system.work() as work:
            await retire_agent(work, self.card)

    async def close(self) -> None:
        """Ask no more, and let another process of the data directory have the place."""
        if self.asking is not None:
            self.asking.cancel()
            await asyncio.gather(self.asking, return_exceptions=True)
        if self.own_database is not None:
            await self.own_database.close()
        if self.lock is not None:
            self.lock.release()

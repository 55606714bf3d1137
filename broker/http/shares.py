"""Connections of the pool, shared out before one is taken: no tenant has them all, and some are kept for heartbeats.

A request that waits for a lock, or for a slow database, holds its connection. So a tenant's requests have at most a
quarter of the pool, and those of all tenants leave the last three: two for what runs report, one for health, for
finding out whose keys they are, for turns, and for the daemon, which all take one without asking here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from broker import errors
from broker.work import Actor, Role

KEPT = 3
STAFF_SHARE = "staff"


@dataclass(frozen=True)
class Shares:
    """How many connections who may have at one time. `tenant`: the requests of one, or all of staff's."""

    tenant: int
    requests: int
    tenant_runs: int
    everybody: int


def share_out(connections: int) -> Shares:
    """Share out a pool: a quarter to each tenant, the last three kept. A pool too small for that keeps fewer."""
    kept = min(KEPT, (connections - 1) // 2)
    return Shares(
        tenant=max(1, connections // 4),
        requests=connections - kept,
        tenant_runs=max(1, kept - 1),
        everybody=max(1, connections - 1),
    )


class Turnstile:
    """Lets requests at the pool's connections, each tenant's within its share, in the order in which they came."""

    def __init__(self, connections: int, *, wait_seconds: float) -> None:
        self.shares = share_out(connections)
        self.wait_seconds = wait_seconds
        self._requests = asyncio.Semaphore(self.shares.requests)
        self._everybody = asyncio.Semaphore(self.shares.everybody)
        # A tenant's is there for as long as one of its requests waits at it or has passed it.
        self._own: WeakValueDictionary[tuple[bool, str], asyncio.Semaphore] = WeakValueDictionary()

    def pass_through(self, actor: Actor) -> AbstractAsyncContextManager[None]:
        """Wait for the actor's turn at a connection, and keep its place for as long as the block lasts.

        Raises: TooManyAtOnce, where the tenant's own requests are in the way for too long; Busy, where others' are.
        """
        is_run = actor.role == Role.RUN
        own = self._find_own(is_run, actor.customer_id or STAFF_SHARE)
        return self._pass(own, *(() if is_run else (self._requests,)), self._everybody)

    def pass_together(self, actor: Actor) -> AbstractAsyncContextManager[None]:
        """Wait for a turn of several tenants' requests, or of runs such as this: of no one's share. Raises: Busy."""
        is_run = actor.role == Role.RUN
        return self._pass(*(() if is_run else (self._requests,)), self._everybody)

    @asynccontextmanager
    async def _pass(self, *gates: asyncio.Semaphore) -> AsyncIterator[None]:
        passed: list[asyncio.Semaphore] = []
        try:
            try:
                waits = any(gate.locked() for gate in gates)
                async with asyncio.timeout(self.wait_seconds if waits else None):
                    for gate in gates:
                        await gate.acquire()
                        passed.append(gate)
            except TimeoutError as error:
                own = gates[len(passed)] not in {self._requests, self._everybody}
                raise self._refuse(waited_for_own=own) from error
            yield
        finally:
            for gate in reversed(passed):
                gate.release()

    def _find_own(self, is_run: bool, tenant: str) -> asyncio.Semaphore:
        own = self._own.get((is_run, tenant))
        if own is None:
            size = self.shares.tenant_runs if is_run else self.shares.tenant
            own = self._own[is_run, tenant] = asyncio.Semaphore(size)
        return own

    def _refuse(self, *, waited_for_own: bool) -> errors.DomainError:
        waited = f"after {self.wait_seconds:g} seconds"
        if waited_for_own:
            return errors.TooManyAtOnce(
                f"Your own earlier requests were still under way {waited}; send fewer at one time, and this one again."
            )
        return errors.Busy(f"The broker had no connection to its database free {waited}; send the request again.")

"""How many requests a key may send in a minute, all processes together, without a round trip for a request.

A process leases requests in batches of a twentieth of the limit (`BATCHES`), counted in the database by `limits`, and
lends itself one batch at the start of a minute, before it has heard from there. It leases ahead, beside the requests;
one waits only where its process has nothing left, or has not met its key before.

**How exact it is.** Of a limit of N, P processes let through in one window at least N - (P - 1)⌈N/20⌉ requests before
they refuse the first, and at most N + (P - 1)⌈N/20⌉ in all: what the others have leased and not used is lost with the
window, and what they lent themselves as it began is counted afterwards. One process is exact. A window begins with the
first request after the last one, and takes 60 seconds. Where the database is away, each process counts by itself.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta

from cachetools import LRUCache
from fastapi import Request
from limits import RateLimitItemPerMinute

from broker import errors
from broker.http.access import ADDED_HEADERS
from broker.http.request_counts import RequestCounts
from broker.persistence.database import Database
from broker.work import Actor, Role, Services

BATCHES = 20
WINDOW_SECONDS = 60
POLICY = "key"
# So many keys are remembered with what is left of their leases.
REMEMBERED = 4096
# What a key may send in a minute; None: as much as it likes.
FindLimit = Callable[[Actor], Awaitable[int | None]]


@dataclass(frozen=True)
class Standing:
    """What is left to a key: so many requests of its limit, until so many seconds from now."""

    limit: int
    remaining: int
    reset_seconds: int

    def write_headers(self) -> list[tuple[bytes, bytes]]:
        """Write the headers of draft-ietf-httpapi-ratelimit-headers-10."""
        left = f'"{POLICY}";r={self.remaining};t={self.reset_seconds}'
        return [
            (b"ratelimit-policy", f'"{POLICY}";q={self.limit};w={WINDOW_SECONDS}'.encode()),
            (b"ratelimit", left.encode()),
        ]


@dataclass(eq=False)
class Window:
    """What one process knows of a key's window. `limit`: None for none; `elsewhere`: what nobody has leased yet.

    `is_known`: the limit was asked for; until then nothing is lent.
    `is_settled`: the database has been heard of this window; `is_spent`: it has no more to lease.
    """

    actor: Actor
    limit: int | None
    ends_at: datetime
    is_known: bool
    granted: int = 0
    spent: int = 0
    elsewhere: int = 0
    is_settled: bool = False
    is_spent: bool = False
    lease: asyncio.Task[None] | None = None

    @property
    def batch(self) -> int:
        return math.ceil((self.limit or 0) / BATCHES)

    @property
    def left(self) -> int:
        return self.granted - self.spent + (0 if self.is_settled else self.batch)

    @property
    def must_wait(self) -> bool:
        return not self.is_known or (self.limit is not None and self.left <= 0)

    @property
    def wants_lease(self) -> bool:
        if self.lease is not None or self.is_spent:
            return False
        return not self.is_settled or (self.limit is not None and self.left * 2 <= self.batch)

    def tell(self, now: datetime) -> Standing:
        assert self.limit is not None
        left = self.granted - self.spent + self.elsewhere if self.is_settled else self.limit - self.spent
        seconds = math.ceil((self.ends_at - now).total_seconds())
        return Standing(self.limit, max(0, left), min(max(1, seconds), WINDOW_SECONDS))


class RateLimits:
    """Admits the requests of keys within their limits."""

    def __init__(self, database: Database, services: Services, find_limit: FindLimit) -> None:
        self.services, self.find_limit = services, find_limit
        self.counts = RequestCounts(database, services.clock)
        self.windows: MutableMapping[str, Window] = LRUCache(REMEMBERED)

    async def admit(self, actor: Actor) -> Standing | None:
        """Admit a request; returns how its key stands, None where it has no limit. Raises: RateLimited."""
        now = self.services.clock()
        window = self.windows.get(actor.id)
        if window is None or window.ends_at <= now:
            window = self._begin(actor, window, now)
        while window.must_wait:
            if window.is_spent:
                raise _refuse(window, now)
            await asyncio.shield(self._start_lease(window))
        window.spent += 1
        if window.wants_lease:
            self._start_lease(window)
        return None if window.limit is None else window.tell(now)

    def _begin(self, actor: Actor, last: Window | None, now: datetime) -> Window:
        """Begin a window by the limit that was known last, until the database tells when it really ends."""
        ends_at = now + timedelta(seconds=WINDOW_SECONDS)
        if last is None or not last.is_known:
            window = Window(actor, self._usual_limit(actor), ends_at, is_known=False)
        else:
            window = Window(actor, last.limit, ends_at, is_known=True)
        self.windows[actor.id] = window
        return window

    def _usual_limit(self, actor: Actor) -> int | None:
        usual = self.services.settings.requests_per_minute
        return usual or None if actor.role == Role.CUSTOMER else None

    def _start_lease(self, window: Window) -> asyncio.Task[None]:
        """Lease for a window beside the requests; those that wait share what is under way."""
        if window.lease is None:
            window.lease = asyncio.create_task(self._lease(window), context=Context())
        return window.lease

    async def _lease(self, window: Window) -> None:
        what = f"rate limit of {window.actor.id}"
        try:
            if not window.is_settled:
                own = await self.find_limit(window.actor)
                window.limit = self._usual_limit(window.actor) if own is None else own or None
            if window.limit is not None:
                await self._count(window, window.limit)
            self.services.failures.settle(what)
        except Exception as error:  # noqa: BLE001 (whatever it is, no request is refused for it)
            window.granted += window.batch
            self.services.note_failure(what, error)
        finally:
            window.is_known, window.is_settled, window.lease = True, True, None

    async def _count(self, window: Window, limit: int) -> None:
        """Count a batch, and what was used before it was counted; the share of it that is within the limit is ours."""
        item = RateLimitItemPerMinute(limit)
        wanted = window.batch + max(0, window.spent - window.granted)
        counted = await self.counts.count(item.key_for(window.actor.id), item.get_expiry(), wanted)
        if window.is_settled and counted.expires_at != window.ends_at:  # the next window has begun meanwhile
            window.granted = window.spent = 0
        before = counted.amount - wanted
        got = min(max(0, limit - before), wanted)
        window.granted += got
        window.elsewhere, window.is_spent = max(0, limit - counted.amount), got < wanted
        window.ends_at = counted.expires_at


def _refuse(window: Window, now: datetime) -> errors.RateLimited:
    standing = window.tell(now)
    return errors.RateLimited(
        f"This key may send {standing.limit} requests a minute, and has; send the next one in "
        f"{standing.reset_seconds} seconds.",
        retry_after_seconds=standing.reset_seconds,
        limit=standing.limit,
    )


async def admit_request(request: Request, actor: Actor) -> None:
    """Admit a request within its key's limit, and have its answer tell what is left. Raises: RateLimited.

    What runs report is exempt: a training must not end for it.
    """
    if actor.role == Role.RUN:
        return
    limits: RateLimits = request.app.state.rate_limits
    added: list[tuple[bytes, bytes]] = request.scope.setdefault(ADDED_HEADERS, [])
    try:
        standing = await limits.admit(actor)
    except errors.RateLimited:
        added += limits.windows[actor.id].tell(limits.services.clock()).write_headers()
        raise
    if standing is not None:
        added += standing.write_headers()

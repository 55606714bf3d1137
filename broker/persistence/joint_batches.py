"""Calls of many keys decided in one batch, such as those of many tenants, and where that fails each key's apart."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic
from zlib import crc32

from broker.persistence.batches import Answer, Batches, Call, Key, refuse_busy
from broker.persistence.faults import Fault, find_fault

log = logging.getLogger(__name__)

# What fails for all of a batch would fail for each of its calls, too.
HOPELESS = frozenset({Fault.AWAY, Fault.FULL})


class _DecidedApart(Exception):
    """A batch of several keys could not be decided together: each key's calls take their own turn."""


class JointBatches(Generic[Key, Call, Answer]):
    """Has the calls of all keys decided together, or where that fails those of each key apart.

    So one key that is locked for long, or whatever else of it fails, holds nobody else up: what failed has left nothing
    behind, and further calls of a key that is being decided apart go there at once. Where the database is away or full,
    all are told so.

    Keys fall into groups, the same ones in every process: while the batch of one group waits for the database, that of
    another is decided, and no key is in both. What is `expected` to fail a batch now and then is not told in the log;
    `gather_seconds` is that of `Batches`.
    """

    def __init__(
        self,
        decide_together: Callable[[Sequence[Call]], Awaitable[Sequence[Answer | Exception]]],
        decide_apart: Callable[[Key, Sequence[Call]], Awaitable[Sequence[Answer | Exception]]],
        wait_seconds: float,
        *,
        groups: int = 1,
        expected: tuple[type[Exception], ...] = (),
        gather_seconds: float = 0.0,
    ) -> None:
        self.groups, self.expected, self._decide = groups, expected, decide_together
        self.together = Batches[int, Call, Answer](
            self._decide_group, wait_seconds, refuse=refuse_busy, gather_seconds=gather_seconds
        )
        self.apart = Batches[Key, Call, Answer](decide_apart, wait_seconds)

    async def ask(self, key: Key, call: Call) -> Answer:
        """Have a call decided in the next batch. Raises: as `Batches.ask` does."""
        if not self.apart.is_busy(key):
            with suppress(_DecidedApart):
                return await self.together.ask(self.find_group(key), call)
        return await self.ask_apart(key, call)

    async def ask_apart(self, key: Key, call: Call) -> Answer:
        """Have a call decided with those of its own key alone. Raises: as `Batches.ask` does."""
        return await self.apart.ask(key, call)

    def find_group(self, key: Key) -> int:
        """Find the group that a key falls into."""
        return crc32(str(key).encode()) % self.groups

    async def _decide_group(self, _group: int, calls: Sequence[Call]) -> Sequence[Answer | Exception]:
        try:
            return await self._decide(calls)
        except Exception as error:
            if find_fault(error) in HOPELESS:
                raise
            if find_fault(error) is None and not isinstance(error, self.expected):
                log.exception("%d calls are decided apart", len(calls))
            return [_DecidedApart() for _call in calls]

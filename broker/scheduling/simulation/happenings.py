"""What happens in a replayed window, in the order of its moments. Pure."""

from collections.abc import Iterator
from datetime import datetime
from enum import IntEnum
from heapq import heappop, heappush
from typing import Any


class Happening(IntEnum):
    """What happens, in the order in which a cycle that sees all of it takes it."""

    CONDITIONS = 0
    SHARE = 1
    END = 2
    LEAVE = 3
    COME = 4
    NOTHING = 5  # time has passed, and may have opened what was shut


class Happenings:
    """What is still to happen, and of what; those of one moment and kind come in the order in which they were added."""

    def __init__(self) -> None:
        self._coming: list[tuple[datetime, Happening, int, Any]] = []
        self._added = 0

    def add(self, at: datetime, happening: Happening, of: Any) -> None:
        self._added += 1
        heappush(self._coming, (at, happening, self._added, of))

    def find_next(self) -> datetime | None:
        """Find the next moment at which anything happens."""
        return self._coming[0][0] if self._coming else None

    def take(self, now: datetime) -> Iterator[tuple[Happening, Any]]:
        """Take all of a moment, also what is added to it meanwhile."""
        while self._coming and self._coming[0][0] == now:
            _at, happening, _number, of = heappop(self._coming)
            yield happening, of

"""What rows were read as: it is not read anew while what it was read from is the same.

That is told each time, under whatever lock it needs: all the values of a row, the ids of the rows of a list, or nothing
for what never changes, such as a published rate card. Only what it means is kept.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from cachetools import LRUCache

Parsed = TypeVar("Parsed")
Entries = MutableMapping[tuple[type, str], tuple[object, object]]

CAPACITY = 4096
# What belongs to a version for ever, and may be large: every quote needs its rate card and its calibration at once.
VERSIONS = 64
NEVER_CHANGES = ()


@dataclass(frozen=True)
class ReadCache:
    """Keeps the values last used, by type and name, each with what it was read from. Each database has its own."""

    entries: Entries = field(default_factory=lambda: LRUCache(CAPACITY))

    @classmethod
    def of_versions(cls, capacity: int = VERSIONS) -> "ReadCache":
        """Make one for few values, which never change."""
        return cls(LRUCache(capacity))

    def find(self, kind: type[Parsed], name: str, source: object = NEVER_CHANGES) -> Parsed | None:
        """Find what was read under a name from exactly this source."""
        read_from, parsed = self.entries.get((kind, name), (None, None))
        return cast("Parsed | None", parsed) if read_from == source else None

    def keep(
        self, name: str, parsed: Parsed, source: object = NEVER_CHANGES, *, kind: type[Parsed] | None = None
    ) -> Parsed:
        """Keep a value in place of what was read under its name before: under its type, or under what it stands for."""
        self.entries[kind or type(parsed), name] = (source, parsed)
        return parsed

"""What rows were read as: one whose values are still the same is not parsed anew, a contract under load for example.

The values are read each time, under whatever lock they need; only what they mean is kept.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TypeVar

from cachetools import LRUCache

from broker.persistence.driver import Row

Parsed = TypeVar("Parsed")

CAPACITY = 4096


def _make_entries() -> MutableMapping[tuple[type, str], tuple[Row, object]]:
    return LRUCache(CAPACITY)


@dataclass(frozen=True)
class RowCache:
    """Keeps what the rows last used were read as, by type and id, which is their first value. One for a database."""

    entries: MutableMapping[tuple[type, str], tuple[Row, object]] = field(default_factory=_make_entries)

    def find(self, kind: type[Parsed], values: Row) -> Parsed | None:
        """Find what a row with exactly these values was read as."""
        read, parsed = self.entries.get((kind, values[0]), ((), None))
        assert parsed is None or isinstance(parsed, kind), "it was kept under its own type"
        return parsed if read == values else None

    def keep(self, values: Row, parsed: Parsed) -> Parsed:
        self.entries[type(parsed), values[0]] = (values, parsed)
        return parsed

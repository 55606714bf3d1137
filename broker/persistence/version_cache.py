"""The parsed contents of rows that never change: every quote needs its rate card and its calibration at once."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TypeVar

from cachetools import LRUCache

Parsed = TypeVar("Parsed")

CAPACITY = 64


def _make_entries() -> MutableMapping[tuple[type, str], object]:
    return LRUCache(CAPACITY)


@dataclass(frozen=True)
class VersionCache:
    """Keeps the values last used, by type and version. Each database has a cache of its own, for its own versions."""

    entries: MutableMapping[tuple[type, str], object] = field(default_factory=_make_entries)

    def find(self, kind: type[Parsed], version: str) -> Parsed | None:
        found = self.entries.get((kind, version))
        assert found is None or isinstance(found, kind), "it was kept under its own type"
        return found

    def keep(self, version: str, parsed: Parsed) -> Parsed:
        self.entries[type(parsed), version] = parsed
        return parsed

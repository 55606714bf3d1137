"""What rows that never change say, parsed: every quote needs its rate card and its calibration at once."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar

Parsed = TypeVar("Parsed")


@dataclass
class ParsedRows:
    """Those last used, by their type and version. Of one database, since another has other rows of that version."""

    capacity: int = 64
    entries: OrderedDict[tuple[type, str], object] = field(default_factory=OrderedDict)

    def find(self, kind: type[Parsed], version: str) -> Parsed | None:
        found = self.entries.get((kind, version))
        if found is None:
            return None
        assert isinstance(found, kind), "it was kept under its own type"
        self.entries.move_to_end((kind, version))
        return found

    def keep(self, version: str, parsed: Parsed) -> Parsed:
        self.entries[type(parsed), version] = parsed
        while len(self.entries) > self.capacity:
            self.entries.popitem(last=False)
        return parsed

"""What was removed, counted. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Removed:
    """Things removed, and the bytes that came free, as far as they are known."""

    count: int = 0
    size_bytes: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(self.count + other.count, self.size_bytes + other.size_bytes)

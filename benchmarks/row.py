"""What one benchmark says: ours, the peer's, and the bar between them."""

import math
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Row:
    """One comparison, in `unit`.

    `peer` is what another program reached in the same run, or a limit that a requirement names. `ratio` is ours / peer;
    with `better="lower"` it must not be above `bar`, with `better="higher"` not below it.
    Raises: ValueError, for a number that is not finite or a peer that is not positive: no ratio could be formed.
    """

    name: str
    unit: str
    ours: float
    peer_name: str
    peer: float
    bar: float
    better: Literal["lower", "higher"] = "lower"

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.ours, self.peer, self.bar)):
            raise ValueError(f"{self.name}: ours, peer and bar must be finite numbers")
        if self.peer <= 0:
            raise ValueError(f"{self.name}: the peer must be above zero (got {self.peer!r})")

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def holds(self) -> bool:
        return self.ratio <= self.bar if self.better == "lower" else self.ratio >= self.bar


def to_record(row: Row, machine: str) -> dict[str, Any]:
    """Return the entry of one row in results.json."""
    return {
        "name": row.name,
        "unit": row.unit,
        "ours": row.ours,
        "peer_name": row.peer_name,
        "peer": row.peer,
        "ratio": row.ratio,
        "bar": row.bar,
        "holds": row.holds,
        "machine": machine,
    }

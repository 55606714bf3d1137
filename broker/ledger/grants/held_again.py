"""What a leg of a hold has again: units that a run lost by our doing, given back to it and not used since. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class LegUse:
    """What one capture drew of a leg, and what of that came back to the leg since its run had lost it by our doing.

    `drawn_at` and `lost_at` are numbers in the order of booking. `charged` is charged still. Units: the leg's.
    """

    drawn_at: int
    charged: int
    lost: int = 0
    lost_at: int = 0


def count_held_again(uses: Iterable[LegUse]) -> int:
    """Count what came back to a leg and was not used again since: what came back is used first."""
    changes = [change for use in uses for change in ((use.drawn_at, -use.charged), (use.lost_at, use.lost))]
    held_again = 0
    for _number, change in sorted(changes):
        held_again = max(0, held_again + change)
    return held_again

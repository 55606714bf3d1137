"""Which intervals of a run are charged together: one transfer for each month, price and checkpoint segment. Pure."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from broker.ledger.books.model import UsageInterval
from pricing.usage import Usage


@dataclass(frozen=True)
class Charge:
    """Intervals of one run, without a gap, that are charged together."""

    intervals: tuple[UsageInterval, ...]

    @property
    def first(self) -> UsageInterval:
        return self.intervals[0]

    @property
    def last(self) -> UsageInterval:
        return self.intervals[-1]

    @property
    def first_sequence(self) -> int:
        first = self.first.first_sequence
        return self.first.sequence if first is None else first

    @property
    def usage(self) -> Usage:
        return sum((interval.usage for interval in self.intervals), Usage())

    @property
    def reference(self) -> str:
        """Name the intervals: `run/3` or `run/3-17`."""
        one = f"{self.first.run_id}/{self.first_sequence}"
        return one if self.first_sequence == self.last.sequence else f"{one}-{self.last.sequence}"


def group_intervals(intervals: Iterable[UsageInterval], describe: Callable[[UsageInterval], Hashable]) -> list[Charge]:
    """Group intervals, in their order, that follow each other and are described alike.

    An interval at whose end a checkpoint became durable ends its charge: so the border between what a run keeps and
    what it may lose is a border of transfers, too.
    """
    charges: list[list[UsageInterval]] = []
    before: UsageInterval | None = None
    for interval in intervals:
        if before is None or not _go_together(before, interval) or describe(before) != describe(interval):
            charges.append([])
        charges[-1].append(interval)
        before = interval
    return [Charge(tuple(group)) for group in charges]


def _go_together(before: UsageInterval, interval: UsageInterval) -> bool:
    follows = (before.run_id, before.sequence + 1) == (interval.run_id, interval.sequence)
    return follows and before.checkpoint_step is None

"""Lines of a run's training log: which of them are kept, so that no run fills the database. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

# A run may write so many lines at once, and so many a second for as long as it lives; never more than the last two.
BURST_LINES, LINES_A_SECOND = 2_000, 20
MOST_LINES, MOST_CHARACTERS = 100_000, 20_000_000


@dataclass(frozen=True)
class LogLine:
    """A line that a worker wrote: its number among all of its run, from 0, and when it was written (UTC)."""

    number: int
    at: datetime
    text: str


@dataclass(frozen=True)
class KeptLog:
    """How much of a run's log is kept. A number below `next_number` that is not kept is a line that was left out."""

    next_number: int = 0
    kept: int = 0
    characters: int = 0

    @property
    def left_out(self) -> int:
        return self.next_number - self.kept

    def add(self, lines: Sequence[LogLine], next_number: int) -> "KeptLog":
        """Add lines that are kept; the run has numbered its lines up to `next_number`."""
        characters = self.characters + sum(len(line.text) for line in lines)
        return replace(self, next_number=next_number, kept=self.kept + len(lines), characters=characters)


def choose_lines(told: Sequence[LogLine], log: KeptLog, *, alive_seconds: float) -> list[LogLine]:
    """Choose which lines are kept of those that a run tells: none twice, and the first that there is room for.

    `alive_seconds`: for how long the run has been at work.
    """
    allowed = min(MOST_LINES, BURST_LINES + int(LINES_A_SECOND * max(0.0, alive_seconds)))
    room, space = allowed - log.kept, MOST_CHARACTERS - log.characters
    chosen = list[LogLine]()
    following = log.next_number
    for line in told:
        space -= len(line.text)
        if len(chosen) >= room or space < 0:
            break
        if line.number >= following:
            chosen.append(line)
            following = line.number + 1
    return chosen

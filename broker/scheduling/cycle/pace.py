"""How often the dispatcher plans: at once where a job may start, at leisure where it can only be told why it waits."""

from dataclasses import dataclass

# After a cycle the dispatcher rests for so many times as long as that took, so that it never takes more than a quarter
# of one core: what is submitted meanwhile is planned together. After one that has started jobs it rests a quarter as
# long: most of a cycle it waits for the database, and until the next one what has ended meanwhile holds its devices.
RESTS, RESTS_AFTER_STARTS, LONGEST_REST_SECONDS = 3, 0.25, 5.0
# Where all devices are held, a cycle starts nothing and explains all: then a twentieth of one core is enough.
RESTS_AT_LEISURE = 19
# A line of no more jobs is told by each cycle; a longer one with a twentieth of one core, too, piece by piece.
SHORT_LINE, LONGEST_SILENCE_SECONDS = 500, 120.0


def compute_rest(cycle_seconds: float, *, has_started: bool = False) -> float:
    """Compute for how long the dispatcher rests after a cycle, which has started jobs or not. Units: seconds."""
    return min((RESTS_AFTER_STARTS if has_started else RESTS) * cycle_seconds, LONGEST_REST_SECONDS)


def rest_at_leisure(took: float) -> float:
    """Compute for how long what grows with the line rests after it took so long. Units: seconds. Pure."""
    return min(RESTS_AT_LEISURE * took, LONGEST_SILENCE_SECONDS)


@dataclass
class Pace:
    """When jobs that come are planned next, as the last cycle left the devices. Units: seconds of one running clock.

    `told_by`: when all of a line that is told piece by piece are to be told; None: no piece is left.
    """

    at_leisure_until: float = 0.0
    silent_until: float = 0.0
    told_by: float | None = None
    freed_at: float = 0.0

    def note_cycle(self, began: float, ended: float, *, starts_more: bool) -> None:
        """Note a cycle; `starts_more`: it has left devices on which a job that comes could start.

        What was freed while it planned may have been too late for it.
        """
        is_due = starts_more or self.freed_at >= began
        pause = 0.0 if is_due else min(RESTS_AT_LEISURE * (ended - began), LONGEST_REST_SECONDS)
        self.at_leisure_until = ended + pause

    def note_freed(self, now: float) -> None:
        """Note that runs have ended since the last cycle: whoever waits for their devices is planned now."""
        self.freed_at, self.at_leisure_until = now, 0.0

    def is_due(self, now: float) -> bool:
        """Tell whether jobs that come are planned now."""
        return now >= self.at_leisure_until

    def note_told(self, ended: float, took: float, *, waiting: int, pieces_left: int = 0) -> None:
        """Note a cycle that has told those who wait why, which took so long, or some of them.

        All pieces that are left are told within the longest silence, also where that takes more of a core.
        """
        longest = LONGEST_SILENCE_SECONDS
        if not pieces_left:
            self.told_by = None
        else:
            self.told_by = ended + longest if self.told_by is None else self.told_by
            longest = max(0.0, self.told_by - ended) / pieces_left
        self.silent_until = ended + (0.0 if waiting <= SHORT_LINE else min(RESTS_AT_LEISURE * took, longest))

    def tells(self, now: float) -> bool:
        """Tell whether those who wait are told by now what has changed for them."""
        return now >= self.silent_until

"""Two replays of one window job by job, to be drawn beside each other: those whose start moves the most. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.scheduling.simulation.played import PlayedTurn, Replayed

# More bars nobody compares by eye.
MOST_DRAWN = 200
# A job that waits for so long at the end of the window starves.
STARVED_AFTER = timedelta(hours=1)
NEVER = timedelta(days=10_000)


@dataclass(frozen=True)
class Bar:
    """GPUs of a pool that a job held without a break; `until` is not beyond the end of the window."""

    pool: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class DrawnJob:
    """A job in both replays. Of one that did not start within the window there is no bar."""

    job_id: str
    contract_id: str
    queue: str
    gpus: int
    came_at: datetime
    today: tuple[Bar, ...]
    proposed: tuple[Bar, ...]

    @property
    def moved(self) -> timedelta:
        """Tell how much later it starts as proposed; below zero: earlier."""
        return _find_start(self.proposed, self.came_at) - _find_start(self.today, self.came_at)


def _find_start(bars: Sequence[Bar], came_at: datetime) -> timedelta:
    return bars[0].since - came_at if bars else NEVER


def draw_jobs(today: Replayed, proposed: Replayed) -> tuple[DrawnJob, ...]:
    """Draw the jobs of a window whose start moves the most, and the earliest of those whose does not, by arrival."""
    drawn = [_draw(one, other, today.ends_at) for one, other in zip(today.turns, proposed.turns, strict=True)]
    ranked = sorted(drawn, key=lambda job: (-abs(job.moved), job.came_at, job.job_id))[:MOST_DRAWN]
    return tuple(sorted(ranked, key=lambda job: (job.came_at, job.job_id)))


def _draw(one: PlayedTurn, other: PlayedTurn, until: datetime) -> DrawnJob:
    job = one.turn.job
    return DrawnJob(
        job.job_id,
        job.contract_id,
        job.queue,
        job.shape.gpus,
        one.came_at,
        _list_bars(one, until),
        _list_bars(other, until),
    )


def _list_bars(turn: PlayedTurn, until: datetime) -> tuple[Bar, ...]:
    return tuple(Bar(stint.pool, stint.began_at, min(stint.ended_at, until)) for stint in turn.stints)


def count_starved(replayed: Replayed) -> int:
    """Count the jobs that wait at the end of the window since an hour or more, and have not run in it."""
    return sum(
        one.started_at is None and one.turn.left_at is None and replayed.ends_at - one.came_at >= STARVED_AFTER
        for one in replayed.turns
    )

"""Today beside what is proposed: a window replayed twice, by contract and queue, and who would start later. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.scheduling.simulation.drawn import DrawnJob, count_starved, draw_jobs
from broker.scheduling.simulation.group_measures import (
    Group,
    GroupMeasures,
    PoolMeasures,
    group_turns,
    measure_group,
    measure_pools,
)
from broker.scheduling.simulation.played import MissedGuarantee, PlayedTurn, Replayed

# A start is told as later where it is by more than this: less is the rhythm of cycles.
LATER_BY = timedelta(seconds=60)
NOTHING_OFFERED = PoolMeasures(0.0, 0.0)
NOTHING_MISSED = MissedGuarantee()


@dataclass(frozen=True)
class GroupComparison:
    contract_id: str
    queue: str
    today: GroupMeasures
    proposed: GroupMeasures


@dataclass(frozen=True)
class PoolComparison:
    pool: str
    today: PoolMeasures
    proposed: PoolMeasures


@dataclass(frozen=True)
class LaterStart:
    """A job that would have started later; `proposed` None: not within the window."""

    job_id: str
    contract_id: str
    queue: str
    today: datetime
    proposed: datetime | None


@dataclass(frozen=True)
class Comparison:
    """`later` is in order of how much later, those that would not have started at all first.

    `drawn` are the jobs whose start moves the most; `starved` counts those that wait and wait, today and as proposed.
    """

    groups: tuple[GroupComparison, ...]
    pools: tuple[PoolComparison, ...]
    later: tuple[LaterStart, ...]
    drawn: tuple[DrawnJob, ...] = ()
    starved: tuple[int, int] = (0, 0)
    earlier_count: int = 0


def compare_replays(today: Replayed, proposed: Replayed) -> Comparison:
    """Compare two replays of one window."""
    ours, theirs = group_turns(today), group_turns(proposed)
    groups = [
        GroupComparison(
            *key,
            measure_group(ours.get(key, Group()), today, today.missed.get(key, NOTHING_MISSED)),
            measure_group(theirs.get(key, Group()), proposed, proposed.missed.get(key, NOTHING_MISSED)),
        )
        for key in sorted(ours.keys() | theirs.keys())
    ]
    now, then = measure_pools(today), measure_pools(proposed)
    pools = [
        PoolComparison(pool, now.get(pool, NOTHING_OFFERED), then.get(pool, NOTHING_OFFERED))
        for pool in sorted(now.keys() | then.keys())
    ]
    return Comparison(
        tuple(groups),
        tuple(pools),
        tuple(_list_later(today.turns, proposed.turns)),
        draw_jobs(today, proposed),
        (count_starved(today), count_starved(proposed)),
        len(_list_later(proposed.turns, today.turns)),
    )


def _list_later(today: Sequence[PlayedTurn], proposed: Sequence[PlayedTurn]) -> list[LaterStart]:
    later = [
        LaterStart(one.turn.job.job_id, one.turn.job.contract_id, one.turn.job.queue, one.started_at, other.started_at)
        for one, other in zip(today, proposed, strict=True)
        if one.started_at is not None and (other.started_at is None or other.started_at - one.started_at > LATER_BY)
    ]
    return sorted(later, key=_rank_later)


def _rank_later(job: LaterStart) -> tuple[bool, timedelta, str]:
    return job.proposed is not None, job.today - (job.proposed or job.today), job.job_id

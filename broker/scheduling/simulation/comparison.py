"""Today beside what is proposed: a window replayed twice, by contract and queue, and who would start later. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.scheduling.simulation.measures import BOUND_SECONDS, find_percentile
from broker.scheduling.simulation.window_replay import PlayedTurn

# A start is told as later where it is by more than this: less is the rhythm of cycles.
LATER_BY = timedelta(seconds=60)


@dataclass(frozen=True)
class GroupMeasures:
    """How the jobs of one contract in one queue fared. Units: seconds, GPU-seconds.

    Waits are of those that started within the window; `still_waiting` did not. Missed are dates that passed before the
    job had ended.
    """

    started: int
    still_waiting: int
    avg_wait_s: float | None
    p90_wait_s: float | None
    avg_bounded_slowdown: float | None
    gpu_seconds: float
    deadlines_missed: int


@dataclass(frozen=True)
class GroupComparison:
    contract_id: str
    queue: str
    today: GroupMeasures
    proposed: GroupMeasures


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
    """`later` is in order of how much later, those that would not have started at all first."""

    groups: tuple[GroupComparison, ...]
    later: tuple[LaterStart, ...]


def compare_replays(today: Sequence[PlayedTurn], proposed: Sequence[PlayedTurn], until: datetime) -> Comparison:
    """Compare two replays of one window, which ends at `until`."""
    ours, theirs = _group(today), _group(proposed)
    groups = [
        GroupComparison(*key, _measure(turns, until), _measure(theirs[key], until))
        for key, turns in sorted(ours.items())
    ]
    later = [
        LaterStart(one.turn.job.job_id, one.turn.job.contract_id, one.turn.job.queue, one.started_at, other.started_at)
        for one, other in zip(today, proposed, strict=True)
        if one.started_at is not None and (other.started_at is None or other.started_at - one.started_at > LATER_BY)
    ]
    later.sort(key=_rank_later)
    return Comparison(tuple(groups), tuple(later))


def _rank_later(job: LaterStart) -> tuple[bool, timedelta, str]:
    return job.proposed is not None, job.today - (job.proposed or job.today), job.job_id


def _group(played: Sequence[PlayedTurn]) -> dict[tuple[str, str], list[PlayedTurn]]:
    groups: dict[tuple[str, str], list[PlayedTurn]] = {}
    for one in played:
        groups.setdefault((one.turn.job.contract_id, one.turn.job.queue), []).append(one)
    return groups


def _measure(turns: Sequence[PlayedTurn], until: datetime) -> GroupMeasures:
    waits, slowdowns, gpu_seconds, missed = [], [], 0.0, 0
    for one in turns:
        due = one.turn.job.shape.finish_by
        missed += due is not None and due < (one.ended_at or until)
        if one.started_at is None or one.ended_at is None:
            continue
        wait, run = (one.started_at - one.came_at).total_seconds(), (one.ended_at - one.started_at).total_seconds()
        waits.append(wait)
        slowdowns.append(max((wait + run) / max(run, BOUND_SECONDS), 1.0))
        gpu_seconds += one.turn.job.gpus * max((min(one.ended_at, until) - one.started_at).total_seconds(), 0.0)
    return GroupMeasures(
        started=len(waits),
        still_waiting=sum(one.started_at is None and one.turn.left_at is None for one in turns),
        avg_wait_s=sum(waits) / len(waits) if waits else None,
        p90_wait_s=find_percentile(sorted(waits), 90) if waits else None,
        avg_bounded_slowdown=sum(slowdowns) / len(slowdowns) if slowdowns else None,
        gpu_seconds=gpu_seconds,
        deadlines_missed=missed,
    )

"""How the jobs of one contract in one queue fared in a replayed window, and how full its pools were. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from broker.scheduling.planning.values.jobs import RunningJob
from broker.scheduling.simulation.measures import BOUND_SECONDS, find_percentile
from broker.scheduling.simulation.played import GroupKey, MissedGuarantee, PlayedTurn, Replayed, Stint


@dataclass(frozen=True)
class GroupMeasures:
    """How the jobs of one contract in one queue fared. Units: seconds, GPU-seconds, micro-yuan; shares of 1.

    Waits are of those that started within the window; `still_waiting` did not. `missed` are dates that passed before
    the job had ended, and times in which a guarantee lacked GPUs for longer than the grace. `cost_micros` is what the
    work done within the window comes to at the prices that the jobs were quoted, by the type that they ran on.
    `utilisation` is the share of all GPUs of all pools. Runs of before the window count for GPU-seconds alone.
    """

    started: int
    still_waiting: int
    avg_wait_s: float | None
    p90_wait_s: float | None
    avg_bounded_slowdown: float | None
    gpu_seconds: float
    utilisation: float
    cost_micros: int
    preemptions: int
    deadlines_missed: int
    guarantees_missed: int
    guarantee_gpu_seconds_missed: float


@dataclass(frozen=True)
class PoolMeasures:
    """How full a pool was: GPU-seconds that were held, of those that there were."""

    gpu_seconds: float
    utilisation: float


@dataclass
class Group:
    """What belongs to one contract in one queue."""

    turns: list[PlayedTurn] = field(default_factory=list)
    before: list[tuple[RunningJob, datetime]] = field(default_factory=list)


def group_turns(replayed: Replayed) -> dict[GroupKey, Group]:
    """Group what was replayed by contract and queue."""
    groups: dict[GroupKey, Group] = defaultdict(Group)
    for one in replayed.turns:
        groups[one.turn.job.contract_id, one.turn.job.queue].turns.append(one)
    for run, ends_at in replayed.before:
        groups[run.contract_id, run.queue].before.append((run, ends_at))
    return dict(groups)


def measure_group(group: Group, replayed: Replayed, missed: MissedGuarantee) -> GroupMeasures:
    """Measure a group; `missed` is what its queue's guarantee lacked."""
    until = replayed.ends_at
    done = [one for one in group.turns if one.started_at is not None]
    waits = [_seconds(one.came_at, one.started_at) for one in done]
    slowdowns = [_slow_down(one) for one in done if one.ended_at is not None]
    gpu_seconds = sum(_count_turn(one, until) for one in group.turns) + _count_before(group.before, replayed)
    offered = sum(replayed.offered.values())
    return GroupMeasures(
        started=len(done),
        still_waiting=sum(one.started_at is None and one.turn.left_at is None for one in group.turns),
        avg_wait_s=sum(waits) / len(waits) if waits else None,
        p90_wait_s=find_percentile(sorted(waits), 90) if waits else None,
        avg_bounded_slowdown=sum(slowdowns) / len(slowdowns) if slowdowns else None,
        gpu_seconds=gpu_seconds,
        utilisation=gpu_seconds / offered if offered else 0.0,
        cost_micros=round(sum((_price_turn(one, until) for one in group.turns), Fraction(0))),
        preemptions=sum(one.preemptions for one in group.turns),
        deadlines_missed=sum(_misses_date(one, until) for one in group.turns),
        guarantees_missed=missed.times,
        guarantee_gpu_seconds_missed=missed.gpu_seconds,
    )


def measure_pools(replayed: Replayed) -> dict[str, PoolMeasures]:
    """Measure each pool that there was."""
    held: dict[str, float] = defaultdict(float)
    for one in replayed.turns:
        for stint in one.stints:
            held[stint.pool] += one.turn.job.gpus * _within(stint, replayed.ends_at)
    for run, ends_at in replayed.before:
        held[run.pool] += _count_before([(run, ends_at)], replayed)
    return {
        pool: PoolMeasures(held[pool], held[pool] / offered if offered else 0.0)
        for pool, offered in replayed.offered.items()
    }


def _slow_down(one: PlayedTurn) -> float:
    assert one.ended_at is not None
    run = sum(_seconds(stint.began_at, stint.ended_at) for stint in one.stints)
    return max(_seconds(one.came_at, one.ended_at) / max(run, BOUND_SECONDS), 1.0)


def _count_turn(one: PlayedTurn, until: datetime) -> float:
    return one.turn.job.gpus * sum(_within(stint, until) for stint in one.stints)


def _count_before(before: Iterable[tuple[RunningJob, datetime]], replayed: Replayed) -> float:
    return sum(run.gpus * max(_seconds(replayed.begins_at, min(at, replayed.ends_at)), 0.0) for run, at in before)


def _price_turn(one: PlayedTurn, until: datetime) -> Fraction:
    """Price a turn's work within the window as it was quoted; a restart after a preemption is the house's."""
    return sum((_price_stint(one, stint, until) for stint in one.stints), Fraction(0))


def _price_stint(one: PlayedTurn, stint: Stint, until: datetime) -> Fraction:
    option = one.turn.job.shape.find_option(stint.sku)
    if option is None:
        return Fraction(0)
    seconds = max(_within(stint, until) - stint.restart.total_seconds(), 0.0)
    return Fraction(option.price_micros) * Fraction(seconds) / max(option.p50_seconds, 1)


def _misses_date(one: PlayedTurn, until: datetime) -> bool:
    due = one.turn.job.shape.finish_by
    return due is not None and due < (one.ended_at or until)


def _within(stint: Stint, until: datetime) -> float:
    return max(_seconds(stint.began_at, min(stint.ended_at, until)), 0.0)


def _seconds(begin: datetime, end: datetime | None) -> float:
    assert end is not None, "what has begun has an end, at the latest that of the window"
    return (end - begin).total_seconds()

"""Stopping runs so that others may start: what was stopped of late bounds what may be, and what it leaves is kept."""

from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from broker.jobs.reading.evictions import LateEviction, find_late_evictions, read_late_evictions
from broker.jobs.reading.stoppable import StopFacts, find_stop_facts, read_stop_facts
from broker.jobs.rules.model import EvictionReason
from broker.jobs.running.evictions import NewEviction, evict_run
from broker.scheduling.planning.rounds.reclaim import KEPT_AFTER
from broker.scheduling.planning.rules.order import BY_SERVICE
from broker.scheduling.planning.values.answers import Preemption
from broker.scheduling.planning.values.jobs import RunningJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot, Kept
from broker.work import Work

HOUR = timedelta(hours=1)
# A victim that is not gone by then is no news any more: its run is lost, or its engine does not answer.
LOOKED_BACK = timedelta(days=1)
# A process, its base model and its checkpoint: the restart of a run that was stopped.
RESTART_SECONDS = 30


def may_stop_others(snapshot: ClusterSnapshot) -> bool:
    """Tell whether a plan may stop runs for others: something is guaranteed, or a discipline does so. Pure."""
    is_guaranteed = any(share.guarantees for share in snapshot.shares)
    return is_guaranteed or any(pool.discipline in BY_SERVICE for pool in snapshot.pools)


async def add_stops(work: Work, snapshot: ClusterSnapshot, waiting: Container[str]) -> ClusterSnapshot:
    """Add to a snapshot what stops depend on: what runs would lose, what pools may still stop, what is being freed.

    `waiting` are the jobs that wait, by their ids.
    """
    running = {run.job_id for run in snapshot.running}
    lately, known = await work.run_together([find_late_evictions(work.now - LOOKED_BACK), find_stop_facts(running)])
    late, facts = read_late_evictions(lately), read_stop_facts(known)
    settings = work.settings
    least_run = timedelta(seconds=settings.preemption_least_run_seconds)
    grace = timedelta(seconds=settings.preemption_grace_seconds)
    freed = list_freed(late, waiting, running, grace)
    kept = {each.job_id: each for each in (*snapshot.kept, *freed)}
    return replace(
        snapshot,
        pools=tuple(
            replace(pool, grace=grace)
            for pool in bound_stops(snapshot.pools, late, work.now, settings.preemptions_per_hour, least_run)
        ),
        running=tuple(weigh_run(run, facts) for run in snapshot.running),
        kept=tuple(kept.values()),
    )


def bound_stops(
    pools: Iterable[PoolState], late: Iterable[LateEviction], now: datetime, most: int, least_run: timedelta
) -> tuple[PoolState, ...]:
    """Bound how many runs of each pool may still be stopped in this hour, each once it has run for so long. Pure."""
    stopped = Counter(each.pool for each in late if each.created_at > now - HOUR)
    return tuple(pool.bound_stops(stopped[pool.name], most, least_run) for pool in pools)


def weigh_run(run: RunningJob, facts: Mapping[str, StopFacts]) -> RunningJob:
    """Add to a run what would be lost if it were stopped. Pure."""
    known = facts.get(run.job_id)
    if known is None:  # its run has ended, and its processes are being stopped
        return replace(run, is_stopping=True)
    return replace(
        run,
        checkpoint_at=known.checkpoint_at,
        restart_seconds=RESTART_SECONDS,
        rate_micros=known.rate_micros,
        submitted_at=known.submitted_at,
        seconds_done=max(0, known.used_before) // run.gpus,
        is_stopping=known.is_stopping,
    )


def list_freed(
    late: Iterable[LateEviction], waiting: Container[str], running: Collection[str], grace: timedelta
) -> list[Kept]:
    """List what is kept for those who wait for what victims leave: until the last has gone, and a start's time. Pure.

    A run whose job waits again while its processes are being stopped goes by its own id.
    """
    by_job: dict[str, list[LateEviction]] = {}
    for each in late:
        if each.for_job_id in waiting:
            by_job.setdefault(each.for_job_id, []).append(each)
    return [_keep_freed(job_id, evictions, running, grace) for job_id, evictions in sorted(by_job.items())]


def _keep_freed(job_id: str, evictions: Collection[LateEviction], running: Collection[str], grace: timedelta) -> Kept:
    newest = max(evictions, key=lambda each: each.created_at)
    same_stop = [each for each in evictions if each.created_at == newest.created_at]
    names = [each.job_id if each.ended_at is None else each.run_id for each in same_stop]
    left = tuple(name for name in names if name in running)
    gone = max((each.ended_at for each in same_stop if each.ended_at is not None), default=newest.created_at)
    until = (newest.created_at + grace if left else gone) + KEPT_AFTER
    return Kept(job_id, newest.pool, newest.node, newest.kept_gpus, until, left)


async def stop_for_others(work: Work, preemptions: Iterable[Preemption]) -> None:
    """Tell the runs of a plan to save and stop so that others may start."""
    for each in preemptions:
        reason = EvictionReason.GUARANTEE if each.within_guarantee else EvictionReason.DISCIPLINE
        new = NewEviction(each.job_id, each.for_job, reason, each.pool, each.node, each.kept_gpus, each.lost_micros)
        await evict_run(work, new)

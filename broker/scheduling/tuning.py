"""What is changed of queues, pools, contracts and jobs, and whom that strikes: who starts, never will, or is lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.capacity.announcements import list_maintenance
from broker.capacity.model import Maintenance, NodeState
from broker.capacity.pool_changes import PoolChanges, change_pool
from broker.capacity.quotas import ContractQuota, change_quota, get_quota
from broker.capacity.readiness import JudgedPool, get_pool
from broker.capacity.service import Queue, change_queue, get_queue
from broker.jobs.admitting.changed_types import change_types
from broker.jobs.running.control import set_priorities, set_priority
from broker.jobs.running.notes import Annotation, annotate_job
from broker.jobs.running.notices import tell_jobs_on
from broker.jobs.running.runs import list_runs_on, lose_run
from broker.jobs.service import Job, get_job
from broker.ledger.books.causes import Cause
from broker.scheduling.cycle.live import CYCLE_LOCK
from broker.scheduling.cycle.outlook import Effects, measure_effects
from broker.scheduling.cycle.quotas import is_lower, stop_beyond, stop_beyond_contract
from broker.scheduling.cycle.snapshot import describe_queue
from broker.scheduling.planning.values.queues import QueueLimits
from broker.work import STAFF, Work

NODE_DOWN = "operations declared its machine down"


@dataclass(frozen=True)
class TunedQueue:
    """A queue as it was changed; the jobs `stopping` are beyond a limit that was lowered: they save, and wait again."""

    queue: Queue
    stopping: Sequence[str]


async def tune_queue(
    work: Work, name: str, changes: Mapping[str, Any], seen: str | None = None
) -> tuple[TunedQueue, Effects]:
    """Change a queue; returns it, and whom that lets start or strands: of its own jobs, those that never start now.

    Where it may stop runs, no cycle starts others meanwhile. `seen`: the version that was looked at.
    Raises: NotFound, InvalidRequest, VersionMismatch.
    """
    if may_lower(changes):
        await work.take_turn(CYCLE_LOCK)
    before = describe_queue(await get_queue(work, name)).limits
    async with measure_effects(work) as effects:
        queue = await change_queue(work, name, changes, seen)
        stopping = await stop_beyond(work, queue) if is_lower(describe_queue(queue).limits, before) else []
    effects.stranded = [job for job in effects.stranded if job.queue == name and _binds(queue)]
    return TunedQueue(queue, stopping), effects


def may_lower(changes: Mapping[str, Any]) -> bool:
    """Tell whether changes set a limit of what runs at one time, which may be lower than before. Pure."""
    return any(changes.get(name) is not None for name in ("max_jobs", "max_gpus"))


def _binds(queue: Queue) -> bool:
    """Tell whether a queue has a limit that may strand a job."""
    return (queue.max_gpus, queue.max_gpu_hours, queue.allowed_pools) != (None, None, None)


@dataclass(frozen=True)
class TunedQuota:
    """A contract's quota as it was set; the jobs `stopping` are beyond it: they save, and wait again."""

    quota: ContractQuota
    stopping: Sequence[str]


async def set_quota(
    work: Work, contract_id: str, changes: Mapping[str, Any], reason: str, seen: str | None = None
) -> tuple[TunedQuota, Effects]:
    """Set the share and quota of a contract; returns them, and which jobs that lets start, or strands of its own.

    No cycle starts others meanwhile, and nobody else sets the first of a contract. `seen`: the version looked at.
    Raises: NotFound, VersionMismatch.
    """
    await work.take_turn(CYCLE_LOCK)
    before = await get_quota(work, contract_id)
    limits = QueueLimits(before.max_jobs, before.max_gpus)
    async with measure_effects(work) as effects:
        quota = await change_quota(work, contract_id, changes, reason, seen)
        lowered = is_lower(QueueLimits(quota.max_jobs, quota.max_gpus), limits)
        stopping = await stop_beyond_contract(work, quota) if lowered else []
    has_quota = quota.max_gpus is not None
    effects.stranded = [job for job in effects.stranded if job.contract_id == contract_id and has_quota]
    return TunedQuota(quota, stopping), effects


@dataclass(frozen=True)
class TunedPool:
    """A pool that was changed, and the runs that were lost with nodes which are down from now on."""

    pool: JudgedPool
    lost_runs: Sequence[str]


async def tune_pool(work: Work, name: str, changes: PoolChanges, seen: str | None = None) -> tuple[TunedPool, Effects]:
    """Change a pool; returns it with the runs that were lost, and which jobs that lets start or strands.

    The jobs of lost runs are queued again and go first; those that run where maintenance is planned anew are told. Jobs
    are locked before the pool is, and no cycle plans meanwhile. `seen`: the version of the pool that was looked at.

    Raises: NotFound, InvalidRequest, VersionMismatch.
    """
    down = [node for node, state in changes.nodes.items() if state is NodeState.DOWN]
    lost: Sequence[str] = ()
    if down:
        await work.take_turn(CYCLE_LOCK)
    async with measure_effects(work) as effects:
        if down:
            lost = await list_runs_on(work, name, down)
            for run_id in lost:
                await lose_run(work, run_id, NODE_DOWN, code=Cause.NODE_DOWN.value)
        for window in await _find_new_windows(work, name, changes):
            await _tell_maintenance(work, name, window)
        pool = await change_pool(work, name, changes, seen)
    effects.stranded = [job for job in effects.stranded if job.job_id not in effects.already]
    return TunedPool(pool, lost), effects


@dataclass(frozen=True)
class JobChanges:
    """What of a job is changed: what people read of it; while it waits the GPU types that it may run on, or its own
    priority, for a reason. `seen`: the version of what people read of it that was looked at.
    """

    gpu_types: Sequence[str] | None = None
    changes_priority: bool = False
    priority: int | None = None
    reason: str = ""
    annotation: Annotation = field(default_factory=Annotation)
    seen: str | None = None


async def tune_job(work: Work, job_id: str, changes: JobChanges) -> tuple[Job, Effects]:
    """Change a job; returns it, and which jobs that lets start: staff alone sees the line.

    Raises: as `annotate_job`, `change_types` and `set_priority` do.
    """
    if work.actor.role not in STAFF:
        await _change_job(work, job_id, changes)
        return await get_job(work, job_id), Effects()
    async with measure_effects(work) as effects:
        await _change_job(work, job_id, changes)
    effects.stranded = [job for job in effects.stranded if job.job_id == job_id]
    return await get_job(work, job_id), effects


async def tune_jobs(work: Work, job_ids: Sequence[str], priority: int | None, reason: str) -> Effects:
    """Put several jobs at one priority, all or none; returns which waiting jobs that lets start.

    Raises: as `set_priorities` does.
    """
    async with measure_effects(work) as effects:
        await set_priorities(work, dict.fromkeys(job_ids, priority), reason)
    effects.stranded = []
    return effects


async def _change_job(work: Work, job_id: str, changes: JobChanges) -> None:
    if changes.annotation.changes:
        await annotate_job(work, job_id, changes.annotation, changes.seen)
    if changes.gpu_types is not None:
        await change_types(work, job_id, changes.gpu_types)
    if changes.changes_priority:
        await set_priority(work, job_id, changes.priority, changes.reason)


async def _find_new_windows(work: Work, name: str, changes: PoolChanges) -> list[Maintenance]:
    """Find the times of maintenance that were not planned yet: the jobs that run there are told of these."""
    if not changes.maintenance:
        return []
    planned = (await get_pool(work, name)).pool.maintenance
    return [window for window in changes.maintenance if window not in planned]


async def _tell_maintenance(work: Work, name: str, window: Maintenance) -> None:
    told = {"pool": name, "begins_at": window.begins_at.isoformat(), "ends_at": window.ends_at.isoformat()}
    for notice in list_maintenance(name, [window], work.now):
        told |= {"message": notice.message, "message_zh": notice.message_zh or ""}
        await tell_jobs_on(work, name, window.nodes, "maintenance_announced", told)

"""The scheduling cycle: read a snapshot, plan, apply under lock."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from broker.capacity import service as capacity
from broker.capacity.service import Pool
from broker.jobs import queueing
from broker.jobs.queueing import DeviceHolder, QueuedJob, WaitNotice
from broker.jobs.runs import start_run
from broker.scheduling.planner import (
    ClusterSnapshot,
    CyclePlan,
    PoolState,
    QueueState,
    RunningJob,
    Wait,
    WaitingJob,
    plan_cycle,
)
from broker.work import Work

log = logging.getLogger(__name__)

CYCLE_LOCK = 7_203_115
# A forecast that moved by less is not written again: otherwise every cycle would write every waiting job.
FORECAST_TOLERANCE = timedelta(seconds=10)


@dataclass(frozen=True)
class CycleResult:
    started: int
    waiting: int


async def run_cycle(work: Work) -> CycleResult:
    """Run one cycle in the caller's transaction. Processes take turns: each plans on what the one before committed."""
    await work.take_turn(CYCLE_LOCK)
    waiting = await queueing.list_waiting(work)
    if not waiting:
        return CycleResult(0, 0)
    snapshot = await read_snapshot(work, waiting)
    plan = await asyncio.to_thread(plan_cycle, snapshot, now=work.now)  # a third of a second where 5000 wait
    started = await _apply_starts(work, plan)
    await queueing.write_waits(work, _changed_waits(waiting, plan))
    return CycleResult(started, len(plan.waits))


async def read_snapshot(work: Work, waiting: Sequence[QueuedJob]) -> ClusterSnapshot:
    """Read what the planner plans from: pools, queues, waiting and running jobs."""
    holders = await queueing.list_device_holders(work)
    busy: Counter[str] = Counter()
    for holder in holders:
        busy[holder.pool] += holder.gpus
    pools, queues = await capacity.list_pools(work), await capacity.list_queues(work)
    return ClusterSnapshot(
        pools=tuple(_pool_state(pool, busy[pool.name]) for pool in pools),
        queues=tuple(QueueState(row.name, row.priority, row.open) for row in queues),
        waiting=tuple(_waiting_job(job) for job in waiting),
        running=tuple(_running_job(holder, work.now) for holder in holders),
    )


def _pool_state(pool: Pool, busy: int) -> PoolState:
    return PoolState(pool.name, pool.sku, pool.total_gpus, max(0, pool.total_gpus - busy), pool.open)


def _waiting_job(job: QueuedJob) -> WaitingJob:
    return WaitingJob(job.id, job.contract_id, job.queue, None, job.gpus, job.created_at, job.expected_seconds)


def _running_job(holder: DeviceHolder, now: datetime) -> RunningJob:
    seconds = holder.expected_seconds
    expected_end = now if seconds is None else holder.started_at + timedelta(seconds=seconds)
    return RunningJob(holder.job_id, holder.contract_id, holder.pool, holder.gpus, expected_end)


async def _apply_starts(work: Work, plan: CyclePlan) -> int:
    """Start what is still queued; a job that is locked elsewhere waits for the next cycle.

    Each starts in a savepoint: one that cannot start keeps nobody else from starting.
    """
    jobs = await queueing.lock_waiting(work, [start.job_id for start in plan.starts])
    started = 0
    for start in plan.starts:
        if start.job_id not in jobs:
            continue
        try:
            async with work.session.begin_nested():
                await start_run(work, jobs[start.job_id], start.pool)
            started += 1
        except Exception:
            log.exception("job %s could not be started", start.job_id)
    return started


def _changed_waits(waiting: Sequence[QueuedJob], plan: CyclePlan) -> list[WaitNotice]:
    """List the reasons to write: those that differ from what their job was told last."""
    told = {job.id: job for job in waiting}
    waits = [WaitNotice(wait.job_id, _describe(wait), wait.expected_start) for wait in plan.waits]
    return [
        wait
        for wait in waits
        if told[wait.job_id].pending_reason != wait.reason
        or _has_moved(told[wait.job_id].expected_start, wait.expected_start)
    ]


def _describe(wait: Wait) -> dict[str, Any]:
    return {"code": wait.reason.code.value, "message": wait.reason.message, "position": wait.position}


def _has_moved(before: datetime | None, after: datetime | None) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(after - before) >= FORECAST_TOLERANCE

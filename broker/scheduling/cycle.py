"""The scheduling cycle: read a snapshot, plan, apply under lock."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from broker.jobs import queueing
from broker.jobs.runs import start_run
from broker.jobs.tables import Job
from broker.scheduling.model import (
    ClusterSnapshot,
    CyclePlan,
    PoolState,
    QueueState,
    RunningJob,
    Wait,
    WaitingJob,
    plan_cycle,
)
from broker.scheduling.tables import Pool, Queue
from broker.work import Work

CYCLE_LOCK = 7_203_115


@dataclass(frozen=True)
class CycleResult:
    started: int
    waiting: int


async def run_cycle(work: Work) -> CycleResult:
    """One cycle, in the caller's transaction. Processes take turns: each plans from what the one before committed."""
    await work.session.execute(select(func.pg_advisory_xact_lock(CYCLE_LOCK)))
    plan = plan_cycle(await read_snapshot(work), now=work.now)
    started = await _apply_starts(work, plan)
    await _apply_waits(work, plan)
    return CycleResult(started, len(plan.waits))


async def read_snapshot(work: Work) -> ClusterSnapshot:
    """What the planner plans from: pools, queues, waiting and running jobs."""
    holding = await queueing.list_holding_devices(work)
    waiting = await queueing.list_waiting(work)
    busy: Counter[str] = Counter()
    for _job, run in holding:
        busy[run.pool] += run.gpus
    return ClusterSnapshot(
        pools=tuple([_pool_state(pool, busy[pool.name]) for pool in await work.session.scalars(select(Pool))]),
        queues=tuple(
            [QueueState(row.name, row.priority, row.open) for row in await work.session.scalars(select(Queue))]
        ),
        waiting=tuple(_waiting_job(job) for job in waiting),
        running=tuple(
            RunningJob(
                job.id,
                job.contract_id,
                run.pool,
                run.gpus,
                expected_end=run.created_at + timedelta(seconds=queueing.expected_seconds(job)),
            )
            for job, run in holding
        ),
    )


def _pool_state(pool: Pool, busy: int) -> PoolState:
    return PoolState(pool.name, pool.sku, pool.total_gpus, max(0, pool.total_gpus - busy), pool.open)


def _waiting_job(job: Job) -> WaitingJob:
    return WaitingJob(
        job.id, job.contract_id, job.queue, None, job.gpus, job.created_at, queueing.expected_seconds(job)
    )


async def _apply_starts(work: Work, plan: CyclePlan) -> int:
    """Start what is still queued; a job that was cancelled or is locked meanwhile waits for the next cycle."""
    jobs = await queueing.lock_waiting(work, [start.job_id for start in plan.starts])
    for start in plan.starts:
        if start.job_id in jobs:
            await start_run(work, jobs[start.job_id], start.pool)
    return len(jobs)


async def _apply_waits(work: Work, plan: CyclePlan) -> None:
    """Write why each job waits, where that has changed."""
    waits = {wait.job_id: wait for wait in plan.waits}
    for job in (await queueing.lock_waiting(work, list(waits))).values():
        wait = waits[job.id]
        reason = _describe(wait)
        if job.pending_reason != reason:
            job.pending_reason = reason
        if job.expected_start != wait.expected_start:
            job.expected_start = wait.expected_start


def _describe(wait: Wait) -> dict[str, Any]:
    return {"code": wait.reason.code.value, "message": wait.reason.message, "position": wait.position}

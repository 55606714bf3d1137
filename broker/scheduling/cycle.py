"""The scheduling cycle: read a snapshot, plan, apply under lock."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from broker.capacity import agents, readiness
from broker.capacity import service as capacity
from broker.capacity.readiness import JudgedPool
from broker.jobs.reading import queueing
from broker.jobs.reading.queueing import DeviceHolder, QueuedJob, WaitNotice
from broker.jobs.running.runs import start_run
from broker.scheduling.devices import place_holder
from broker.scheduling.planner import (
    ClusterSnapshot,
    CyclePlan,
    PoolState,
    QueueState,
    RunningJob,
    Start,
    Wait,
    WaitingJob,
    plan_cycle,
)
from broker.work import Work

log = logging.getLogger(__name__)

CYCLE_LOCK = 7_203_115
# How often a cycle plans anew because a job could not be started; further ones are left for the next cycle.
MOST_ROUNDS = 20
SET_ASIDE_MESSAGE = (
    "It is set aside: the broker cannot read what it needs, or cannot start it. Operations has been told; "
    "it is planned again as soon as that is mended."
)
# A forecast that moved by less is not written again: otherwise every cycle would write every waiting job.
FORECAST_TOLERANCE = timedelta(seconds=10)


@dataclass(frozen=True)
class CycleResult:
    """How many jobs were started and how many were left to wait; of the latter, those that could not be planned.

    `starts_more`: devices are left on which a job that comes later could start.
    """

    started: int
    waiting: int
    set_aside: int = 0
    starts_more: bool = field(default=True, compare=False)


@dataclass
class CycleState:
    """What a cycle has come to so far: the jobs that it started, and those that it set aside, each with its fault."""

    started: set[str] = field(default_factory=set)
    aside: dict[str, str] = field(default_factory=dict)
    waits: tuple[Wait, ...] = ()
    starts_more: bool = True


async def run_cycle(work: Work) -> CycleResult:
    """Run one cycle in the caller's transaction. Processes take turns: each plans on what the one before committed.

    A job that cannot be read or started is set aside, is told so, and is planned again by the next cycle.
    """
    await work.take_turn(CYCLE_LOCK)
    waiting = await queueing.list_waiting(work)
    if not waiting:
        return CycleResult(0, 0)
    state = CycleState(aside=await _find_unreadable(work, waiting))
    for _round in range(MOST_ROUNDS):
        if not await _plan_and_start(work, waiting, state):
            break
    notices = _changed_waits(waiting, [*map(_notice_wait, state.waits), *_notice_set_aside(state)])
    _log_set_aside(waiting, state)
    await queueing.write_waits(work, notices)
    left = len(state.waits) + len(state.aside)
    return CycleResult(len(state.started), left, len(state.aside), state.starts_more)


async def has_free_devices(work: Work) -> bool:
    """Tell whether an open pool has devices that nobody holds, as far as can be seen without a lock."""
    pools, _holders = await _read_pools(work, await readiness.list_pools(work))
    return _have_free(pools, ())


async def _find_unreadable(work: Work, waiting: Sequence[QueuedJob]) -> dict[str, str]:
    """Find the jobs that cannot be planned with: what the planner needs of all, the rest of those set aside before."""
    found = {job.id: job.fault for job in waiting if job.fault is not None}
    return found | await queueing.list_faults(work, _list_set_aside(waiting) - found.keys())


def _list_set_aside(waiting: Sequence[QueuedJob]) -> set[str]:
    return {job.id for job in waiting if (job.pending_reason or {}).get("code") == queueing.SET_ASIDE}


async def _plan_and_start(work: Work, waiting: Sequence[QueuedJob], state: CycleState) -> bool:
    """Plan for the jobs that are neither started nor set aside, and start what fits.

    Tells whether one had to be set aside: then what it would have had is free for the others, who are planned anew.
    """
    ready = [job for job in waiting if job.id not in state.started and job.id not in state.aside]
    snapshot = await read_snapshot(work, ready)
    plan = await asyncio.to_thread(plan_cycle, snapshot, now=work.now)  # a third of a second where 5000 wait
    failed = await _apply_starts(work, plan, state.started)
    state.waits, state.starts_more = plan.waits, _have_free(snapshot.pools, plan.starts)
    state.aside |= failed
    if failed:
        state.aside |= await queueing.list_faults(work, {job.id for job in ready} - state.started)
    return bool(failed)


async def read_snapshot(work: Work, waiting: Sequence[QueuedJob]) -> ClusterSnapshot:
    """Read what the planner plans from: pools, queues, waiting and running jobs."""
    pools, holders = await _read_pools(work, await readiness.list_pools(work, locked=True))
    queues = await capacity.list_queues(work)
    return ClusterSnapshot(
        pools=pools,
        queues=tuple(QueueState(row.name, row.priority, row.open) for row in queues),
        waiting=tuple(_waiting_job(job) for job in waiting),
        running=tuple(_running_job(holder, work.now) for holder in holders),
    )


async def _read_pools(work: Work, pools: Sequence[JudgedPool]) -> tuple[tuple[PoolState, ...], Sequence[DeviceHolder]]:
    """Read what of these pools is free, and the runs that hold the rest."""
    holders = await _list_placed_holders(work, pools)
    busy: Counter[str] = Counter()
    for holder in holders:
        busy[holder.pool] += holder.gpus
    return tuple(_pool_state(pool, busy[pool.pool.name]) for pool in pools), holders


def _have_free(pools: Sequence[PoolState], starts: Sequence[Start]) -> bool:
    """Tell whether an open pool has devices left besides those of these starts."""
    taken: Counter[str] = Counter()
    for start in starts:
        taken[start.pool] += start.gpus
    return any(pool.open and pool.free_gpus > taken[pool.name] for pool in pools)


async def _list_placed_holders(work: Work, pools: Sequence[JudgedPool]) -> list[DeviceHolder]:
    """List the runs that hold devices, each with the pool whose devices they are as it is served now."""
    holders = await queueing.list_device_holders(work)
    ids = {holder.agent_id for holder in holders} | {judged.pool.agent_id for judged in pools}
    known = await agents.list_agents_of(work, {agent_id for agent_id in ids if agent_id is not None})
    machines = {agent.id: agent.boot_id for agent in known.values()}
    states = {agent.id: agents.judge(work, agent) for agent in known.values()}
    by_name = {judged.pool.name: judged for judged in pools}
    return [replace(holder, pool=place_holder(holder, by_name, machines, states)) for holder in holders]


def _pool_state(judged: JudgedPool, busy: int) -> PoolState:
    pool = judged.pool
    free_gpus = max(0, pool.total_gpus - busy)
    return PoolState(pool.name, pool.sku, pool.total_gpus, free_gpus, judged.is_ready, judged.closure)


def _waiting_job(job: QueuedJob) -> WaitingJob:
    return WaitingJob(job.id, job.contract_id, job.queue, None, job.gpus, job.created_at, job.expected_seconds)


def _running_job(holder: DeviceHolder, now: datetime) -> RunningJob:
    seconds = holder.expected_seconds
    expected_end = now if seconds is None else holder.started_at + timedelta(seconds=seconds)
    return RunningJob(holder.job_id, holder.contract_id, holder.pool, holder.gpus, expected_end)


async def _apply_starts(work: Work, plan: CyclePlan, started: set[str]) -> dict[str, str]:
    """Start what is still queued; a job that is locked elsewhere waits for the next cycle.

    Each starts in a savepoint: one that cannot start keeps nobody else from starting. Returns why, by job.
    """
    jobs = await queueing.lock_waiting(work, [start.job_id for start in plan.starts])
    failed: dict[str, str] = {}
    for start in plan.starts:
        if start.job_id not in jobs:
            continue
        try:
            async with work.session.begin_nested():
                await start_run(work, jobs[start.job_id], start.pool)
            started.add(start.job_id)
        except Exception as error:
            log.debug("job %s could not be started", start.job_id, exc_info=error)
            failed[start.job_id] = f"{type(error).__name__}: {error}"
    return failed


def _changed_waits(waiting: Sequence[QueuedJob], waits: Sequence[WaitNotice]) -> list[WaitNotice]:
    """List the reasons to write: those that differ from what their job was told last."""
    told = {job.id: job for job in waiting}
    return [
        wait
        for wait in waits
        if told[wait.job_id].pending_reason != wait.reason
        or _has_moved(told[wait.job_id].expected_start, wait.expected_start)
    ]


def _notice_wait(wait: Wait) -> WaitNotice:
    reason = {"code": wait.reason.code.value, "message": wait.reason.message, "position": wait.position}
    return WaitNotice(wait.job_id, reason, wait.expected_start)


def _notice_set_aside(state: CycleState) -> list[WaitNotice]:
    """Tell the jobs that were set aside that they were; their place is behind all that can be planned."""
    reason = {"code": queueing.SET_ASIDE, "message": SET_ASIDE_MESSAGE}
    places = enumerate(state.aside, start=len(state.waits) + 1)
    return [WaitNotice(job_id, {**reason, "position": place}, None) for place, job_id in places]


def _log_set_aside(waiting: Sequence[QueuedJob], state: CycleState) -> None:
    """Log which jobs are set aside from now on, and which are planned again; not in every cycle anew."""
    before = _list_set_aside(waiting)
    for job_id, fault in state.aside.items():
        if job_id not in before:
            log.error("job %s is set aside, and planned again once this is mended: %s", job_id, fault)
    for job_id in before - state.aside.keys():
        log.info("job %s is planned again", job_id)


def _has_moved(before: datetime | None, after: datetime | None) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(after - before) >= FORECAST_TOLERANCE

"""The live cycle: read a snapshot, plan, apply under lock."""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime

from broker.capacity import readiness
from broker.capacity.start_forecasts import publish_starts
from broker.jobs.reading import queueing
from broker.jobs.reading.queueing import QueuedJob
from broker.jobs.running.starts import StartPlace, start_runs
from broker.scheduling.cycle import batches, waits
from broker.scheduling.cycle.places import find_node
from broker.scheduling.cycle.recorder import CycleRecorder
from broker.scheduling.cycle.snapshot import have_free, read_pools, read_snapshot
from broker.scheduling.cycle.stops import stop_for_others
from broker.scheduling.cycle.usage import UsageReading
from broker.scheduling.planning.plan import plan_cycle
from broker.scheduling.planning.values.answers import CyclePlan, Wait
from broker.scheduling.planning.values.snapshot import Batch, ClusterSnapshot
from broker.scheduling.planning.waits.newcomers import NewcomerStart, forecast_newcomers
from broker.work import Work

CYCLE_LOCK = 7_203_115
# How often a cycle plans anew because a job could not be started; further ones are left for the next cycle.
MOST_ROUNDS = 20


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
    """What a cycle has come to so far: the jobs that it started, those that it set aside, each with its fault.

    `waits` are those of all others, the ones behind others of their batch included.
    """

    usage: UsageReading
    recorder: CycleRecorder | None = None
    started: set[str] = field(default_factory=set)
    aside: dict[str, str] = field(default_factory=dict)
    waits: tuple[Wait, ...] = ()
    starts_more: bool = True


async def run_cycle(
    work: Work, usage: UsageReading | None = None, recorder: CycleRecorder | None = None
) -> CycleResult:
    """Run one cycle in the caller's transaction. Processes take turns: each plans on what the one before committed.

    A job that cannot be read or started is set aside, is told so, and is planned again by the next cycle. `usage` is
    kept from one cycle to the next; None: it is read. So is `recorder`; None: nothing is recorded.
    """
    usage = usage or UsageReading()
    await work.take_turn(CYCLE_LOCK)
    waiting = await queueing.list_waiting(work)
    if not waiting:
        idle = await read_snapshot(work, waiting, usage)
        await publish_starts(work, forecast_newcomers(idle, CyclePlan((), ()), now=work.now))
        await _record(work, recorder, idle, ())
        return CycleResult(0, 0)
    state = CycleState(usage, recorder, aside=await _find_unreadable(work, waiting))
    for _round in range(MOST_ROUNDS):
        if not await _plan_and_start(work, waiting, state):
            break
    told = [*map(waits.notice_wait, state.waits), *waits.notice_set_aside(state.aside, behind=len(state.waits))]
    waits.log_set_aside(waiting, state.aside)
    await queueing.write_waits(work, waits.list_changed(waiting, told))
    left = len(state.waits) + len(state.aside)
    return CycleResult(len(state.started), left, len(state.aside), state.starts_more)


async def has_free_devices(work: Work) -> bool:
    """Tell whether an open pool has devices that nobody holds, as far as can be seen without a lock."""
    pools, _holders = await read_pools(work, await readiness.list_pools(work))
    return have_free(pools, ())


async def _find_unreadable(work: Work, waiting: Sequence[QueuedJob]) -> dict[str, str]:
    """Find the jobs that cannot be planned with: what the planner needs of all, the rest of those set aside before."""
    found = {job.id: job.fault for job in waiting if job.fault is not None}
    return found | await queueing.list_faults(work, waits.list_set_aside(waiting) - found.keys())


async def _read_line(
    work: Work, waiting: Sequence[QueuedJob], passed_over: AbstractSet[str]
) -> tuple[list[QueuedJob], tuple[Batch, ...]]:
    """Read which jobs may be planned, and the batches that hold others back; neither has those passed over."""
    named = {job.batch.id: job.batch.at_once for job in waiting if job.batch is not None}
    running = await queueing.list_running_of(work, named)
    held = batches.hold_back(waiting, running, passed_over)
    out = passed_over | {job.id for job in held}
    ready = [job for job in waiting if job.id not in out]
    return ready, batches.describe_batches(held, ready, running)


async def _plan_and_start(work: Work, waiting: Sequence[QueuedJob], state: CycleState) -> bool:
    """Plan for the jobs that are neither started nor set aside, and start what fits.

    Tells whether one had to be set aside: then what it would have had is free for the others, who are planned anew.
    """
    ready, held_back = await _read_line(work, waiting, state.started | state.aside.keys())
    snapshot = replace(await read_snapshot(work, ready, state.usage), batches=held_back)
    plan, starts = await asyncio.to_thread(_plan, snapshot, work.now)  # a third of a second where 5000 wait
    failed = await _apply_starts(work, snapshot, plan, state.started)
    await publish_starts(work, starts)
    await _record(work, recorder=state.recorder, snapshot=snapshot, starts=_list_started(plan, state))
    state.waits, state.starts_more = plan.waits, have_free(snapshot.pools, plan.starts)
    state.aside |= failed
    if failed:
        state.aside |= await queueing.list_faults(work, {job.id for job in ready} - state.started)
    else:
        await stop_for_others(work, plan.preemptions)
    return bool(failed)


def _plan(snapshot: ClusterSnapshot, now: datetime) -> tuple[CyclePlan, list[NewcomerStart]]:
    """Plan a cycle, and forecast when jobs that came after it would start, for quotes and for those who ask a date."""
    plan = plan_cycle(snapshot, now=now)
    return plan, forecast_newcomers(snapshot, plan, now=now)


def _list_started(plan: CyclePlan, state: CycleState) -> list[str]:
    return [start.job_id for start in plan.starts if start.job_id in state.started]


async def _record(work: Work, recorder: CycleRecorder | None, snapshot: ClusterSnapshot, starts: Sequence[str]) -> None:
    if recorder is not None:
        await recorder.record(work, snapshot, starts)


async def _apply_starts(work: Work, snapshot: ClusterSnapshot, plan: CyclePlan, started: set[str]) -> Mapping[str, str]:
    """Start what is still queued; a job that is locked elsewhere waits for the next cycle.

    One that cannot start keeps nobody else from starting. Returns why, by job.
    """
    pools = {pool.name: pool for pool in snapshot.pools}
    places = [StartPlace(start.job_id, start.pool, find_node(start, pools[start.pool])) for start in plan.starts]
    outcome = await start_runs(work, places)
    started |= outcome.started
    return outcome.failed

"""The live cycle: read a snapshot, plan, apply under lock."""

import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from broker.capacity import readiness
from broker.capacity.start_forecasts import publish_starts
from broker.jobs.reading import queueing
from broker.jobs.reading.line import FoundChanges, find_changes
from broker.jobs.reading.wait_causes import note_ended
from broker.jobs.running.starts import StartedRuns, StartPlace, start_runs
from broker.scheduling.cycle import waits
from broker.scheduling.cycle.leading import Lead, find_leader, keep_lead, read_standing, renew_lead
from broker.scheduling.cycle.line_reading import read_batches
from broker.scheduling.cycle.memory import LONG_LINE, CycleMemory
from broker.scheduling.cycle.places import find_node
from broker.scheduling.cycle.recorder import CycleRecorder
from broker.scheduling.cycle.snapshot import describe_pools, have_free, read_conditions
from broker.scheduling.cycle.stops import stop_for_others
from broker.scheduling.cycle.usage import UsageReading
from broker.scheduling.planning.rounds.round import Plan
from broker.scheduling.planning.values.answers import CyclePlan, Wait
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from broker.scheduling.planning.waits.line import list_waits
from broker.scheduling.planning.waits.newcomers import NewcomerStart, forecast_newcomers
from broker.work import Work

log = logging.getLogger(__name__)

CYCLE_LOCK = 7_203_115
# How often a cycle plans anew because a job could not be started; further ones are left for the next cycle.
MOST_ROUNDS = 20


@dataclass(frozen=True)
class CycleResult:
    """How many jobs were started and how many were left to wait; of the latter, those that could not be planned.

    `starts_more`: devices are left on which a job that comes later could start. `has_told`: those who wait were told
    what has changed for them; a process that has just read a long line does not, when it plans for the first time.
    `pieces_left`: so many further cycles will tell what this one has worked out. Telling has taken `telling_seconds`.
    """

    started: int
    waiting: int
    set_aside: int = 0
    starts_more: bool = field(default=True, compare=False)
    has_told: bool = field(default=True, compare=False)
    pieces_left: int = field(default=0, compare=False)
    telling_seconds: float = field(default=0.0, compare=False)


@dataclass
class CycleState:
    """What a cycle has come to so far: the jobs that it started, those that it set aside, each with its fault.

    `waits` are those of all others, the ones behind others of their batch included; they are worked out where it
    `explains`: where it `tells`, and has told all of what was worked out before. `telling` is the time that this takes.
    """

    memory: CycleMemory
    usage: UsageReading
    recorder: CycleRecorder | None = None
    tells: bool = True
    explains: bool = True
    telling: timedelta = timedelta()
    started: set[str] = field(default_factory=set)
    aside: dict[str, str] = field(default_factory=dict)
    waits: tuple[Wait, ...] = ()
    starts_more: bool = True


async def run_cycle(
    work: Work,
    usage: UsageReading | None = None,
    recorder: CycleRecorder | None = None,
    memory: CycleMemory | None = None,
    *,
    tells: bool = True,
) -> CycleResult:
    """Run one cycle in the caller's transaction. Processes take turns: each plans on what the one before committed.

    A job that cannot be read or started is set aside, is told so, and is planned again by the next cycle. `usage` and
    `memory` are kept from one cycle to the next, unless one is not committed; None: all is read. So is `recorder`;
    None: nothing is recorded. Without `tells` those who wait are told nothing new: that takes as long as the line is.
    A long line is told by several cycles, of which the first works out what all are told.
    """
    memory, since = memory or CycleMemory(), None if memory is None else memory.read_from
    state = CycleState(memory, usage or UsageReading(), recorder, tells)
    leader, *changes = await work.take_turn(CYCLE_LOCK, [find_leader(), *find_changes(since)])
    if memory.process_id is None:
        return await _run(work, state, FoundChanges(since, changes))
    standing, began = read_standing(leader, memory.process_id, work.now), work.now
    if standing.lead is Lead.OTHERS:
        return CycleResult(0, 0)
    if standing.lead is Lead.TAKEN:
        memory.forget()
    result = await _run(work, state, FoundChanges(since, changes))
    await keep_lead(work, memory.process_id, standing, since=began)
    if standing.lead is Lead.TAKEN:
        log.info("this process, %s, plans from now on", memory.process_id)
    return result


async def _run(work: Work, state: CycleState, found: FoundChanges) -> CycleResult:
    memory = state.memory
    await memory.catch_up(work, found)
    if memory.is_new and len(memory.jobs) > LONG_LINE:  # who can start is not to wait for what the others are told
        state.tells = False
    state.explains = state.tells and not memory.untold.notices
    if not memory.jobs:
        return await _run_idle(work, state)
    before = set(memory.aside)
    state.aside = await _find_unreadable(work, memory)
    for _round in range(MOST_ROUNDS):
        if not await _plan_and_start(work, state):
            break
    waits.log_set_aside(before, state.aside)
    memory.aside = set(state.aside)
    await _tell(work, state, before)
    waiting = len(state.waits) + len(state.aside) if state.explains else len(memory.jobs)
    return CycleResult(
        len(state.started),
        waiting,
        len(state.aside),
        state.starts_more,
        has_told=state.tells,
        pieces_left=memory.untold.pieces_left,
        telling_seconds=state.telling.total_seconds(),
    )


async def _run_idle(work: Work, state: CycleState) -> CycleResult:
    """Publish that who comes starts at once, as far as there is room; nobody waits."""
    memory = state.memory
    conditions = await read_conditions(work, memory, state.usage)
    changed = memory.tell_planner(())
    memory.following.follow(conditions, changed)
    newcomers = forecast_newcomers(conditions, CyclePlan((), ()), now=work.now)
    memory.published = await publish_starts(work, newcomers, memory.published)
    await _record(work, state, conditions, (), changed)
    return CycleResult(0, 0)


async def _tell(work: Work, state: CycleState, before: AbstractSet[str]) -> None:
    """Tell those who wait why, if that has changed, the first in line first; who is set aside in any case.

    What is too much for one cycle is left for the next ones.
    """
    memory, began = state.memory, work.now
    told = [*map(waits.notice_wait, state.waits)]
    if state.explains or state.aside.keys() != before:
        told += waits.notice_set_aside(state.aside, behind=len(state.waits))
    if state.explains:
        memory.told_at, memory.has_news = work.now, False
    if told:
        present = [notice for notice in told if notice.job_id in memory.jobs]
        changed = waits.list_changed(await memory.find_told(work), present, work.now)
        memory.untold.add(changed)
    if told or state.tells:
        await _tell_some(work, memory)
    state.telling += work.now - began


async def _tell_some(work: Work, memory: CycleMemory) -> None:
    """Tell some of those who are to be told something; all, where no later cycle has the memory."""
    notices = memory.untold.take(is_whole=memory.process_id is None)
    if notices:
        known = await memory.find_told(work)
        written = await queueing.write_waits(work, notices)
        await note_ended(work, waits.list_ended_causes(known, notices, written))
        memory.note_told(notices, written)
        memory.has_news = memory.has_news or len(written) < len(notices)  # whoever was locked is told soon


async def has_free_devices(work: Work, memory: CycleMemory) -> bool:
    """Tell whether an open pool has devices that nobody holds, as far as can be seen without a lock.

    Whoever leads goes on to lead: where none are free it plans at leisure.
    """
    leader, pools, *holders = await work.run_together(
        [find_leader(), readiness.find_pools(), *queueing.find_device_holders()]
    )
    if memory.process_id is not None:
        await renew_lead(work, memory.process_id, read_standing(leader, memory.process_id, work.now))
    judged = readiness.read_pools(work, pools)
    described, _holders = await describe_pools(work, judged, queueing.read_device_holders(*holders))
    return have_free(described, ())


async def _find_unreadable(work: Work, memory: CycleMemory) -> dict[str, str]:
    """Find the jobs that cannot be planned with: what the planner needs of all, the rest of those set aside before."""
    found = {job.id: job.fault for job in memory.faulty.values() if job.fault is not None}
    return found | await queueing.list_faults(work, (memory.aside & memory.jobs.keys()) - found.keys())


async def _plan_and_start(work: Work, state: CycleState) -> bool:
    """Plan for the jobs that are neither started nor set aside, and start what fits.

    Tells whether one had to be set aside: then what it would have had is free for the others, who are planned anew.
    """
    memory, aside = state.memory, state.aside.keys()
    held, held_back = await read_batches(work, memory.limited.values(), aside)
    conditions = replace(await read_conditions(work, memory, state.usage), batches=held_back)
    changed = memory.tell_planner(aside | held)
    began = work.now
    planned = await work.compute(partial(_plan, memory, conditions, changed, began, explains=state.explains))
    if planned.explains:
        state.telling += work.now - began
    outcome = await _apply_starts(work, memory, conditions, planned.plan)
    if planned.newcomers is not None:
        memory.published = await publish_starts(work, planned.newcomers, memory.published)
    starts = [start.job_id for start in planned.plan.starts]
    started = [job_id for job_id in starts if job_id in outcome.started]
    withheld = [job_id for job_id in starts if job_id not in outcome.started]
    await _record(work, state, conditions, started, changed, withheld)
    memory.note_started(started)
    state.started |= outcome.started
    if state.explains and not planned.explains:
        state.tells = state.explains = False
    state.waits, state.starts_more = planned.waits, have_free(conditions.pools, planned.plan.starts)
    state.aside |= outcome.failed
    if outcome.failed:
        state.aside |= await _find_alike(work, memory, outcome.failed.keys(), aside)
    else:
        await stop_for_others(work, planned.plan.preemptions)
    return bool(outcome.failed)


async def _find_alike(
    work: Work, memory: CycleMemory, failed: AbstractSet[str], aside: AbstractSet[str]
) -> dict[str, str]:
    """Find which others cannot be read, where that is why one could not start: not to find out one by one.

    Whatever else kept one from starting is no reason to read all of a long line.
    """
    if not await queueing.list_faults(work, failed):
        return {}
    return await queueing.list_faults(work, memory.jobs.keys() - aside)


@dataclass(frozen=True)
class Planned:
    """A plan, whom it leaves waiting, and when jobs that came after it would start; None: that was not asked for.

    `explains`: what has changed for those who wait was worked out.
    """

    plan: Plan
    explains: bool = False
    waits: tuple[Wait, ...] = ()
    newcomers: Sequence[NewcomerStart] | None = None


def _plan(
    memory: CycleMemory,
    conditions: ClusterSnapshot,
    changed: Mapping[str, WaitingJob | None],
    now: datetime,
    *,
    explains: bool,
) -> Planned:
    """Plan a cycle, and forecast when jobs that came after it would start, for quotes and for those who ask a date."""
    following = memory.following
    memory.has_news |= following.follow(conditions, changed)
    plan = following.planner.plan(now)
    if not explains or not (memory.has_news or plan.starts or plan.preemptions or memory.is_telling_due(now)):
        return Planned(plan)
    told = CyclePlan(plan.starts, list_waits(following.planner, plan, conditions.batches), plan.preemptions)
    snapshot = replace(conditions, waiting=tuple(following.waiting.values()))
    return Planned(plan, True, told.waits, forecast_newcomers(snapshot, told, now=now))


async def _record(
    work: Work,
    state: CycleState,
    conditions: ClusterSnapshot,
    starts: Sequence[str],
    changed: Mapping[str, WaitingJob | None],
    withheld: Sequence[str] = (),
) -> None:
    if state.recorder is not None:
        memory = state.memory
        told = None if memory.is_new else changed
        await state.recorder.record(work, conditions, starts, memory.following.waiting, told, withheld)


async def _apply_starts(work: Work, memory: CycleMemory, conditions: ClusterSnapshot, plan: Plan) -> StartedRuns:
    """Start what is still queued; a job that is locked elsewhere waits for the next cycle.

    One that cannot start keeps nobody else from starting.
    """
    pools = {pool.name: pool for pool in conditions.pools}
    contract_of = {start.job_id: memory.jobs[start.job_id].contract_id for start in plan.starts}
    return await start_runs(
        work,
        [
            StartPlace(start.job_id, contract_of[start.job_id], start.pool, find_node(start, pools[start.pool]))
            for start in plan.starts
        ],
    )

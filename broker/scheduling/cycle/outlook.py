"""Whom a change lets start, and whom it strands: the line is planned before it and after it. Starts nothing itself."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from broker.scheduling.cycle.following import FollowingPlanner
from broker.scheduling.cycle.line_reading import read_batches
from broker.scheduling.cycle.memory import CycleMemory
from broker.scheduling.cycle.snapshot import read_conditions
from broker.scheduling.cycle.usage import UsageReading
from broker.scheduling.planning.books.nodes import name_nodes
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from broker.scheduling.planning.waits.stranded import list_stranded
from broker.work import Work


@dataclass(frozen=True)
class Outlook:
    """The jobs that a cycle would start now, in its order, and those that waiting never starts, the oldest first."""

    starts: Sequence[str]
    stranded: Sequence[WaitingJob]


@dataclass
class Effects:
    """What a change does to jobs that wait: those that can start now and could not before, and those it strands.

    `already`: they were stranded before.
    """

    freed: list[str] = field(default_factory=list)
    stranded: list[WaitingJob] = field(default_factory=list)
    already: frozenset[str] = frozenset()


@asynccontextmanager
async def measure_effects(work: Work) -> AsyncIterator[Effects]:
    """Measure what a change does to the jobs that wait; the effects are known once the change has been made.

    The line is read once, and what the change has changed of it after that.
    """
    effects, memory = Effects(), CycleMemory()
    before = await look_ahead(work, memory)
    yield effects
    await work.session.flush()
    after = await look_ahead(work, memory)
    started = set(before.starts)
    effects.freed += [job_id for job_id in after.starts if job_id not in started]
    effects.stranded += after.stranded
    effects.already = frozenset(job.job_id for job in before.stranded)


async def look_ahead(work: Work, memory: CycleMemory) -> Outlook:
    """Look which jobs a cycle would start now, and which waiting never starts."""
    await memory.catch_up(work)
    held, batches = await read_batches(work, memory.limited.values(), memory.faulty.keys())
    conditions = replace(await read_conditions(work, memory, UsageReading(), locked=False), batches=batches)
    changed = memory.tell_planner(memory.faulty.keys() | held)
    # The first one takes a second or two where 100,000 wait.
    return await work.compute(partial(plan_outlook, memory.following, conditions, changed, work.now))


def plan_outlook(
    following: FollowingPlanner,
    conditions: ClusterSnapshot,
    changed: Mapping[str, WaitingJob | None],
    now: datetime,
) -> Outlook:
    """Plan what would start, and tell who never would."""
    following.follow(conditions, changed)
    starts = [start.job_id for start in following.planner.plan(now).starts]
    named = replace(conditions, waiting=tuple(following.waiting.values()), pools=name_nodes(conditions))
    return Outlook(starts, list_stranded(named))

"""Whom a change lets start, and whom it strands: the line is planned before it and after it. Starts nothing itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from broker.scheduling.cycle.line_reading import read_batches
from broker.scheduling.cycle.memory import CycleMemory
from broker.scheduling.cycle.snapshot import describe_waiting, read_conditions
from broker.scheduling.cycle.usage import UsageReading
from broker.scheduling.planning.books.nodes import name_nodes
from broker.scheduling.planning.planner import Planner
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
    """Measure what a change does to the jobs that wait; the effects are known once the change has been made."""
    effects = Effects()
    before = await look_ahead(work)
    yield effects
    await work.session.flush()
    after = await look_ahead(work)
    started = set(before.starts)
    effects.freed += [job_id for job_id in after.starts if job_id not in started]
    effects.stranded += after.stranded
    effects.already = frozenset(job.job_id for job in before.stranded)


async def look_ahead(work: Work) -> Outlook:
    """Look which jobs a cycle would start now, and which waiting never starts."""
    memory = CycleMemory()
    await memory.catch_up(work)
    held, batches = await read_batches(work, memory.limited.values(), memory.faulty.keys())
    out = memory.faulty.keys() | held
    waiting = tuple(describe_waiting(job) for job in memory.jobs.values() if job.id not in out)
    conditions = await read_conditions(work, memory, UsageReading(), locked=False)
    snapshot = replace(conditions, waiting=waiting, batches=batches)
    return await asyncio.to_thread(plan_outlook, snapshot, work.now)  # seconds where 100,000 wait


def plan_outlook(snapshot: ClusterSnapshot, now: datetime) -> Outlook:
    """Plan what would start, and tell who never would. Pure."""
    named = replace(snapshot, pools=name_nodes(snapshot))
    planner = Planner.of(named)
    starts = [start.job_id for start in planner.plan(now).starts]
    return Outlook(starts, list_stranded(named))

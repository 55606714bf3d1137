"""Simulations that ops asked for: a recorded window under what is proposed, worked out in the background."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import and_, or_, select

from broker.errors import NotFound, invalid_field
from broker.scheduling.cycle.recorder import read_records
from broker.scheduling.simulation.comparison import Comparison, compare_replays
from broker.scheduling.simulation.proposal import BadProposal, read_proposal
from broker.scheduling.simulation.recording import CycleRecord
from broker.scheduling.simulation.window import EmptyWindow, read_window
from broker.scheduling.simulation.window_replay import PlayedTurn, replay_window
from broker.scheduling.tables import QueueSimulation
from broker.system import System
from broker.work import Work

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
LONGEST_WINDOW = timedelta(days=31)
# One that runs for longer is taken over: its process has ended.
ABANDONED_AFTER = timedelta(minutes=15)
MOST_LATER_TOLD = 1_000
COMPARISON: TypeAdapter[Comparison] = TypeAdapter(Comparison)


async def request_simulation(
    work: Work, proposal: Mapping[str, Any], begins_at: datetime, ends_at: datetime | None
) -> QueueSimulation:
    """Ask for a simulation, which is begun soon. Raises: InvalidRequest, which names the field."""
    try:
        read_proposal(proposal)
    except BadProposal as error:
        raise invalid_field("proposal", str(error)) from error
    ends_at = ends_at or work.now
    if ends_at > work.now:
        raise invalid_field("ends_at", "must not be in the future: what has not happened cannot be replayed")
    if not timedelta() < ends_at - begins_at <= LONGEST_WINDOW:
        raise invalid_field("begins_at", "must be before ends_at, by at most 31 days")
    row = QueueSimulation(
        id=work.new_id("sim"),
        status=QUEUED,
        proposal=dict(proposal),
        begins_at=begins_at,
        ends_at=ends_at,
        result=None,
        fault=None,
        began_at=None,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    return row


async def get_simulation(work: Work, simulation_id: str) -> QueueSimulation:
    row = await work.session.get(QueueSimulation, simulation_id)
    if row is None:
        raise NotFound("simulation", simulation_id)
    return row


async def run_next_simulation(system: System) -> bool:
    """Run the simulation that has waited longest; tells whether there was one."""
    async with system.work() as work:
        row = await _claim(work)
        if row is None:
            return False
        simulation_id, proposal = row.id, row.proposal
        records = await read_records(work, row.begins_at, row.ends_at)
    try:
        result, fault = await asyncio.to_thread(simulate_proposal, records, proposal), None
    except (BadProposal, EmptyWindow) as error:
        result, fault = None, str(error)
    async with system.work() as work:
        row = await get_simulation(work, simulation_id)
        row.status, row.result, row.fault = FAILED if result is None else DONE, result, fault
    return True


async def _claim(work: Work) -> QueueSimulation | None:
    abandoned = and_(QueueSimulation.status == RUNNING, QueueSimulation.began_at < work.now - ABANDONED_AFTER)
    waiting = select(QueueSimulation).where(or_(QueueSimulation.status == QUEUED, abandoned))
    first = waiting.order_by(QueueSimulation.created_at, QueueSimulation.id).limit(1).with_for_update(skip_locked=True)
    row = (await work.session.scalars(first)).one_or_none()
    if row is not None:
        row.status, row.began_at = RUNNING, work.now
    return row


def simulate_proposal(records: Sequence[CycleRecord], document: Mapping[str, Any]) -> dict[str, Any]:
    """Replay a window as it was and as proposed, and compare. Pure. Raises: BadProposal, EmptyWindow."""
    window, changes = read_window(records), read_proposal(document)
    changes.check_names([conditions for _, conditions in window.conditions], window.list_contracts())
    today, proposed = replay_window(window), replay_window(window, changes.as_proposal())
    comparison = compare_replays(today, proposed, window.ends_at)
    told = Comparison(comparison.groups, comparison.later[:MOST_LATER_TOLD])
    return {
        "jobs": len(window.turns),
        "starts_reproduced": _measure_reproduced(today),
        "later_count": len(comparison.later),
        **COMPARISON.dump_python(told, mode="json"),
    }


def _measure_reproduced(today: Sequence[PlayedTurn]) -> float | None:
    """Measure which share of the recorded starts the replay as it was has in the very same cycle."""
    started = [one for one in today if one.turn.started_at is not None]
    return sum(one.started_at == one.turn.started_at for one in started) / len(started) if started else None

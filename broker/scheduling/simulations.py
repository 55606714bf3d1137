"""Simulations that ops asked for: a recorded window under what is proposed, worked out in the background."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import and_, or_, select

from broker.errors import NotFound, invalid_field
from broker.scheduling.cycle.recorder import read_records
from broker.scheduling.settings import read_settings
from broker.scheduling.simulation.bad_proposal import BadProposal
from broker.scheduling.simulation.comparison import Comparison, compare_replays
from broker.scheduling.simulation.played import PlayedTurn
from broker.scheduling.simulation.proposal import read_proposal
from broker.scheduling.simulation.recording import CycleRecord
from broker.scheduling.simulation.stop_count import StopRules
from broker.scheduling.simulation.window import EmptyWindow, read_window
from broker.scheduling.simulation.window_replay import replay_window
from broker.scheduling.tables import QueueSimulation
from broker.system import System
from broker.work import Work

__all__ = ["QueueSimulation", "get_simulation", "list_simulations", "request_simulation", "run_next_simulation"]

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
LONGEST_WINDOW = timedelta(days=31)
# One of which nothing is heard for longer is taken over: its process has ended.
ABANDONED_AFTER = timedelta(minutes=5)
PROGRESS_SECONDS = 2.0
REPLAYS = 2
MOST_LATER_TOLD = 1_000
COMPARISON: TypeAdapter[Comparison] = TypeAdapter(Comparison)


async def request_simulation(
    work: Work, proposal: Mapping[str, Any], begins_at: datetime, ends_at: datetime | None
) -> QueueSimulation:
    """Ask for a simulation, which is begun soon. Raises: InvalidRequest, which names the field."""
    try:
        changes = read_proposal(proposal)
    except BadProposal as error:
        raise invalid_field("proposal", str(error)) from error
    ends_at = ends_at or work.now
    if ends_at > work.now:
        raise invalid_field("ends_at", "must not be in the future: what has not happened cannot be replayed")
    if not timedelta() < ends_at - begins_at <= LONGEST_WINDOW:
        raise invalid_field("begins_at", "must be before ends_at, by at most 31 days")
    settings = await _keep_settings(work, changes.contracts, changes.jobs)
    for path, there in changes.list_unknown(settings["queues"], settings["pools"]).items():
        raise invalid_field(f"proposal.{path}", f"is not there; there are: {', '.join(sorted(there)) or 'none'}")
    row = QueueSimulation(
        id=work.new_id("sim"),
        status=QUEUED,
        proposal=dict(proposal),
        settings=settings,
        begins_at=begins_at,
        ends_at=ends_at,
        result=None,
        fault=None,
        progress=0.0,
        began_at=None,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    return row


async def _keep_settings(work: Work, contract_ids: Collection[str], job_ids: Collection[str]) -> dict[str, Any]:
    return {kind: dict(named) for kind, named in (await read_settings(work, contract_ids, job_ids)).items()}


async def list_simulations(work: Work, *, limit: int) -> Sequence[QueueSimulation]:
    """List the simulations that were asked for last, the newest first."""
    return (await work.session.scalars(select(QueueSimulation).order_by(QueueSimulation.id.desc()).limit(limit))).all()


async def get_simulation(work: Work, simulation_id: str) -> QueueSimulation:
    """Get a simulation. Raises: NotFound."""
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
    progress, settings = Progress(), system.services.settings
    stops = StopRules(settings.preemptions_per_hour, timedelta(seconds=settings.preemption_least_run_seconds))
    working = asyncio.create_task(asyncio.to_thread(simulate_proposal, records, proposal, stops, progress))
    while not (await asyncio.wait({working}, timeout=PROGRESS_SECONDS))[0]:
        await _tell_progress(system, simulation_id, progress.share)
    try:
        result, fault = working.result(), None
    except (BadProposal, EmptyWindow) as error:
        result, fault = None, str(error)
    async with system.work() as work:
        row = await get_simulation(work, simulation_id)
        row.status, row.result, row.fault = FAILED if result is None else DONE, result, fault
        row.progress = 1.0
    return True


async def _tell_progress(system: System, simulation_id: str, share: float) -> None:
    """Write down how far a simulation is, and that somebody is at it."""
    async with system.work() as work:
        row = await get_simulation(work, simulation_id)
        row.progress, row.began_at = share, work.now


async def _claim(work: Work) -> QueueSimulation | None:
    abandoned = and_(QueueSimulation.status == RUNNING, QueueSimulation.began_at < work.now - ABANDONED_AFTER)
    waiting = select(QueueSimulation).where(or_(QueueSimulation.status == QUEUED, abandoned))
    first = waiting.order_by(QueueSimulation.created_at, QueueSimulation.id).limit(1).with_for_update(skip_locked=True)
    row = (await work.session.scalars(first)).one_or_none()
    if row is not None:
        row.status, row.progress, row.began_at = RUNNING, 0.0, work.now
    return row


@dataclass
class Progress:
    """Which share of a simulation's work is done; another thread looks at it."""

    share: float = 0.0

    def of_replay(self, number: int) -> Callable[[float], None]:
        """Return what one of the replays tells its own share to."""

        def tell(share: float) -> None:
            self.share = (number + share) / REPLAYS

        return tell


def simulate_proposal(
    records: Sequence[CycleRecord], document: Mapping[str, Any], stops: StopRules, progress: Progress
) -> dict[str, Any]:
    """Replay a window as it was and as proposed, where `stops` bounds preemptions, and compare.

    Raises: BadProposal, EmptyWindow.
    """
    window, changes = read_window(records), read_proposal(document)
    conditions = [told for _at, told in window.conditions]
    changes.check(conditions, window.list_contracts(), {turn.job.job_id for turn in window.turns})
    today = replay_window(window, progressed=progress.of_replay(0))
    proposed = replay_window(window, changes.as_proposal(conditions, stops), progress.of_replay(1))
    comparison = compare_replays(today, proposed)
    told = replace(comparison, later=comparison.later[:MOST_LATER_TOLD])
    return {
        "jobs": len(window.turns),
        "starts_reproduced": _measure_reproduced(today.turns),
        "later_count": len(comparison.later),
        **COMPARISON.dump_python(told, mode="json"),
    }


def _measure_reproduced(today: Sequence[PlayedTurn]) -> float | None:
    """Measure which share of the recorded starts the replay as it was has in the very same cycle."""
    started = [one for one in today if one.turn.started_at is not None]
    return sum(one.started_at == one.turn.started_at for one in started) / len(started) if started else None

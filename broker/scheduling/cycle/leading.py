"""Which process plans: the one that keeps the line in memory, for as long as it comes back before its lead is over.

Others stand by. One that takes over begins with an empty memory, since it has not seen what the other has told jobs.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from broker.persistence.driver import Command, Row, Statement
from broker.scheduling.tables import PlanningLeader
from broker.work import Work

PLANNER = "planner"
LEADER = Statement(select(PlanningLeader.process_id, PlanningLeader.leads_until).where(PlanningLeader.name == PLANNER))
LEAD, LONGEST_LEAD = timedelta(seconds=3), timedelta(seconds=30)


class Lead(Enum):
    """OURS: this process has planned last. TAKEN: another had, whose lead is over. OTHERS: another plans."""

    OURS = auto()
    TAKEN = auto()
    OTHERS = auto()


def compute_lead(cycle_seconds: float, took: timedelta = timedelta()) -> timedelta:
    """Compute for how long a lead holds after a cycle that took so long: three looks at least. Pure."""
    least = max(LEAD, timedelta(seconds=3 * cycle_seconds))
    return max(least, min(least + 2 * took, LONGEST_LEAD))


class Standing(NamedTuple):
    """Who leads, and until when, as one process sees it; None: nobody has led yet."""

    lead: Lead
    until: datetime | None = None

    def holds(self, until: datetime) -> bool:
        """Tell whether the lead is this process's, and young enough not to be written anew."""
        return self.lead is Lead.OURS and self.until is not None and self.until >= until - LEAD / 3


def find_leader() -> Command:
    """Make the command that finds who leads; it must be asked in turn."""
    return Command(LEADER)


def read_standing(rows: Sequence[Row], process_id: str, now: datetime) -> Standing:
    """Read how a process stands from the rows of `find_leader`. Pure."""
    for leader, until in rows:
        if leader == process_id:
            return Standing(Lead.OURS, until)
        return Standing(Lead.TAKEN if until <= now else Lead.OTHERS, until)
    return Standing(Lead.TAKEN)


async def find_lead(work: Work, process_id: str) -> Lead:
    """Find who leads; it must be asked in turn."""
    (rows,) = await work.run_together([find_leader()])
    return read_standing(rows, process_id, work.now).lead


async def keep_lead(work: Work, process_id: str, standing: Standing, *, since: datetime | None = None) -> None:
    """Keep the lead for another while, or take it; for longer after a cycle that began at `since` and took long.

    It must be done in the turn in which `standing` was found. Where it is young enough nothing is written.
    """
    until = work.now + compute_lead(work.settings.cycle_seconds, work.now - (since or work.now))
    if standing.holds(until):
        return
    told = {"process_id": process_id, "leads_until": until}
    kept = insert(PlanningLeader).values(name=PLANNER, **told)
    await work.session.execute(kept.on_conflict_do_update(index_elements=["name"], set_=told))


async def renew_lead(work: Work, process_id: str, standing: Standing) -> None:
    """Keep the lead for another while, outside a turn, where it is still this process's: another's is never taken."""
    until = work.now + compute_lead(work.settings.cycle_seconds)
    if standing.lead is not Lead.OURS or standing.holds(until):
        return
    ours = (PlanningLeader.name == PLANNER) & (PlanningLeader.process_id == process_id)
    is_old = PlanningLeader.leads_until < until - LEAD / 3
    await work.session.execute(update(PlanningLeader).where(ours, is_old).values(leads_until=until))


async def give_up_lead(work: Work, process_id: str) -> bool:
    """Give the lead up, where it is this process's: another takes it over at once. Tells whether it was."""
    ours = (PlanningLeader.name == PLANNER) & (PlanningLeader.process_id == process_id)
    held = ours & (PlanningLeader.leads_until > work.now)
    given = update(PlanningLeader).where(held).values(leads_until=work.now).returning(PlanningLeader.name)
    return await work.session.scalar(given) is not None

"""Which process plans: the one that keeps the line in memory, for as long as it comes back before its lead is over.

Others stand by. One that takes over begins with an empty memory, since it has not seen what the other has told jobs.
"""

from datetime import datetime, timedelta
from enum import Enum, auto

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from broker.scheduling.tables import PlanningLeader
from broker.work import Work

PLANNER = "planner"
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


async def find_lead(work: Work, process_id: str) -> Lead:
    """Find who leads; it must be asked in turn."""
    leader = await work.session.get(PlanningLeader, PLANNER, populate_existing=True)
    if leader is not None and leader.process_id == process_id:
        return Lead.OURS
    return Lead.TAKEN if leader is None or leader.leads_until <= work.now else Lead.OTHERS


async def keep_lead(work: Work, process_id: str, *, since: datetime | None = None) -> None:
    """Keep the lead for another while, or take it; for longer after a cycle that began at `since` and took long.

    It must be done in the turn in which it was found. Where it is young enough nothing is written.
    """
    until = work.now + compute_lead(work.settings.cycle_seconds, work.now - (since or work.now))
    told = {"process_id": process_id, "leads_until": until}
    kept = insert(PlanningLeader).values(name=PLANNER, **told)
    is_old = (PlanningLeader.leads_until < until - LEAD / 3) | (PlanningLeader.process_id != process_id)
    await work.session.execute(kept.on_conflict_do_update(index_elements=["name"], set_=told, where=is_old))


async def renew_lead(work: Work, process_id: str) -> None:
    """Keep the lead for another while, outside a turn, where it is still this process's: another's is never taken."""
    until = work.now + compute_lead(work.settings.cycle_seconds)
    ours = (PlanningLeader.name == PLANNER) & (PlanningLeader.process_id == process_id)
    is_old = PlanningLeader.leads_until < until - LEAD / 3
    await work.session.execute(update(PlanningLeader).where(ours, is_old).values(leads_until=until))


async def give_up_lead(work: Work, process_id: str) -> None:
    """Give the lead up, where it is this process's: another takes it over at once."""
    ours = (PlanningLeader.name == PLANNER) & (PlanningLeader.process_id == process_id)
    await work.session.execute(update(PlanningLeader).where(ours).values(leads_until=work.now))

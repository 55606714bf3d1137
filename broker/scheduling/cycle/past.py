"""What the last cycles did, from their records: when each was planned, whom it started, whom it would have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, or_, select

from broker.scheduling.tables import RecordedCycle
from broker.work import Work

# So far back it is looked: a record is there only of cycles in which anything changed.
LOOKED_AT, LONGEST_BYTES = 500, 100_000


@dataclass(frozen=True)
class PastCycle:
    """A cycle that started jobs, or `withheld` some that were busy otherwise."""

    at: datetime
    started: Sequence[str]
    withheld: Sequence[str]


async def list_past_cycles(work: Work, since: datetime, *, limit: int) -> list[PastCycle]:
    """List the last cycles since a moment that started a job or withheld one, the newest first."""
    newest = select(func.max(RecordedCycle.id)).scalar_subquery()
    # A baseline has the whole line, of which 100,000 jobs take a second to be read: it is not looked into.
    is_short = RecordedCycle.size_bytes < LONGEST_BYTES
    did = [case((is_short, RecordedCycle.record.has_key(name)), else_=False) for name in ("started", "withheld")]
    query = (
        select(RecordedCycle.created_at, RecordedCycle.record["started"], RecordedCycle.record["withheld"])
        .where(RecordedCycle.id > newest - LOOKED_AT, RecordedCycle.created_at >= since, or_(*did))
        .order_by(RecordedCycle.id.desc())
        .limit(limit)
    )
    return [PastCycle(at, started or (), withheld or ()) for at, started, withheld in await work.session.execute(query)]

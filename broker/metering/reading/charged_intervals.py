"""Reading the intervals under charges: those of runs and streams from one number to another, with what amends them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import ARRAY, Text, any_, literal, select

from broker.metering.tables import UsageEvent
from broker.work import Work


@dataclass(frozen=True)
class ChargedInterval:
    """One interval as it was reported. Units: GPU-seconds and tokens, below zero where it amends an earlier one."""

    run_id: str
    sequence: int
    source: str
    event_id: str
    corrects: str | None
    started_at: datetime
    ended_at: datetime
    gpu_seconds: int
    tokens: int
    labels: Mapping[str, str]


async def list_charged_intervals(
    work: Work, wanted: Mapping[str, Collection[int]], *, until: datetime, amended_by: Collection[str] = ()
) -> dict[str, list[ChargedInterval]]:
    """List the intervals of runs with these numbers, in order; what amended them by a moment after each.

    What amends them later belongs to a later invoice, but for the events that are named. An interval that was charged
    is listed whenever it came: who charged it just before the moment may have begun after it, and had the lock first.
    """
    found: defaultdict[str, list[ChargedInterval]] = defaultdict(list)
    columns = [getattr(UsageEvent, each.name) for each in fields(ChargedInterval)]
    run_ids = literal(sorted(wanted), ARRAY(Text))
    amends_later = UsageEvent.corrects.is_not(None) & (UsageEvent.received_at > until)
    named = UsageEvent.event_id == any_(literal(sorted(amended_by), ARRAY(Text)))
    query = select(*columns).where(UsageEvent.run_id == any_(run_ids), ~amends_later | named)
    order = (UsageEvent.run_id, UsageEvent.sequence, UsageEvent.received_at, UsageEvent.event_id)
    for row in await work.session.execute(query.order_by(*order)):
        if row.sequence in wanted[row.run_id]:
            found[row.run_id].append(ChargedInterval(*row))
    return dict(found)

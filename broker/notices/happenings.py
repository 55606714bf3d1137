"""What has happened that customers are told of and nobody has composed notices of yet: events, and final invoices."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import select

from broker.billing.reference import make_reference
from broker.billing.service import list_issued_since
from broker.contracts.keeping.events import list_events_since
from broker.notices.model import Happening
from broker.notices.tables import Noticed
from broker.notices.words import TELLINGS
from broker.work import Work

# What is older is no news: a broker that stood still for longer leaves it to the pages.
LOOKED_BACK = timedelta(days=3)


async def list_happenings(work: Work) -> list[Happening]:
    """List what is to be told, the oldest first."""
    since = work.now - LOOKED_BACK
    found = [
        Happening(each.id, each.customer_id, each.contract_id, each.kind, each.data, each.created_at)
        for each in await list_events_since(work, since, TELLINGS)
    ]
    found += [
        Happening(
            each.id,
            each.customer_id,
            each.contract_id,
            "invoice_issued",
            {
                "number": each.number,
                "reference": make_reference(each.number or ""),
                "total": each.total.format_amount(),
                "due_on": None if each.due_on is None else each.due_on.isoformat(),
            },
            each.finalized_at or each.created_at,
        )
        for each in await list_issued_since(work, since)
    ]
    known = await _list_noticed(work, {each.event_id for each in found})
    return sorted((each for each in found if each.event_id not in known), key=lambda each: each.created_at)


async def _list_noticed(work: Work, event_ids: Collection[str]) -> set[str]:
    query = select(Noticed.event_id).where(Noticed.event_id.in_(event_ids))
    return set(await work.session.scalars(query)) if event_ids else set()

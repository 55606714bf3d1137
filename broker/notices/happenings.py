"""What has happened that customers are told of and nobody has composed notices of yet.

Events of contracts, final invoices, and webhook endpoints that were switched off.
"""

from datetime import datetime, timedelta

from sqlalchemy import Select, select

from broker.billing.reference import make_reference
from broker.billing.service import list_issued_since
from broker.contracts.keeping.events import list_events_since
from broker.notices.model import Happening
from broker.notices.tables import Noticed
from broker.notices.words import TELLINGS
from broker.webhooks.endpoints import list_disabled_since
from broker.work import Work

# What is older is no news: a broker that stood still for longer leaves it to the pages.
LOOKED_BACK = timedelta(days=3)


async def list_happenings(work: Work) -> list[Happening]:
    """List what is to be told, the oldest first."""
    found = [*await _list_events(work), *await _list_invoices(work), *await _list_endpoints(work)]
    return sorted(found, key=lambda each: each.created_at)


def _select_told(since: datetime) -> Select[str]:
    """Select the ids of what was told since a moment."""
    return select(Noticed.event_id).where(Noticed.created_at > since)


async def _list_events(work: Work) -> list[Happening]:
    since = work.now - LOOKED_BACK
    rows = await list_events_since(work, since, TELLINGS, without=_select_told(since))
    return [Happening(row.id, row.customer_id, row.contract_id, row.kind, row.data, row.created_at) for row in rows]


async def _list_invoices(work: Work) -> list[Happening]:
    since = work.now - LOOKED_BACK
    found = []
    for row in await list_issued_since(work, since, without=_select_told(since)):
        assert row.number is not None, "a final invoice has a number"
        facts = {
            "number": row.number,
            "reference": make_reference(row.number),
            "total": row.total.format_amount(),
            "due_on": None if row.due_on is None else row.due_on.isoformat(),
        }
        issued_at = row.finalized_at or row.created_at
        found.append(Happening(row.id, row.customer_id, row.contract_id, "invoice_issued", facts, issued_at))
    return found


async def _list_endpoints(work: Work) -> list[Happening]:
    """List the endpoints that were switched off, each for each time that it was."""
    since, found = work.now - LOOKED_BACK, []
    for row in await list_disabled_since(work, since):
        assert row.disabled_at is not None, "it is switched off"
        facts = {"name": row.name, "url": row.url, "disabled_for": row.disabled_for}
        event_id = f"{row.id}/{int(row.disabled_at.timestamp())}"
        found.append(Happening(event_id, row.customer_id, None, "webhook_disabled", facts, row.disabled_at))
    told = set(await work.session.scalars(_select_told(since))) if found else set()
    return [each for each in found if each.event_id not in told]

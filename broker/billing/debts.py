"""Invoices whose last day to pay is over and of which something is due: what may put a contract into arrears.

Orders are none: unpaid, they are void by themselves, and nothing was delivered for them. Nor is an advance that was
never paid and whose grant is over: it asks for nothing any more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import select

from broker.billing.model import InvoiceStatus
from broker.billing.tables import Invoice
from broker.contracts import service as contracts
from broker.work import Work
from pricing.money import Money

# No calendar is further ahead of UTC, whatever a contract's time zone is.
FURTHEST_AHEAD = timedelta(hours=14)


@dataclass(frozen=True)
class DueInvoice:
    """A final invoice whose last day to pay is over somewhere, and what is due of it."""

    id: str
    number: str
    contract_id: str
    due_on: date
    due: Money


async def list_due_invoices(work: Work, contract_id: str | None = None) -> list[DueInvoice]:
    """List the invoices of a contract, or of all, whose last day to pay is over in the first of all time zones."""
    query = select(Invoice).where(
        Invoice.status == InvoiceStatus.OPEN.value,
        Invoice.expires_at.is_(None),
        Invoice.due_on < (work.now + FURTHEST_AHEAD).date(),
    )
    own = query if contract_id is None else query.where(Invoice.contract_id == contract_id)
    rows = list(await work.session.scalars(own.order_by(Invoice.due_on, Invoice.id)))
    over = await _list_over(work, {row.grant_id for row in rows if row.grant_id is not None})
    return [_describe(row) for row in rows if row.due.micros and row.grant_id not in over]


async def _list_over(work: Work, grant_ids: Collection[str]) -> set[str | None]:
    """List those of some grants whose term is over and that were never credited: what was, is owed all the same."""
    grants = await contracts.load_grants(work, set(grant_ids)) if grant_ids else {}
    ended = [each for each in grants.values() if each.expires_at is not None and each.expires_at <= work.now]
    return {grant.id for grant in ended if not grant.credited}


def _describe(row: Invoice) -> DueInvoice:
    assert row.number is not None, "a final invoice has a number"
    assert row.due_on is not None, "it was found by its last day to pay"
    return DueInvoice(row.id, row.number, row.contract_id, row.due_on, row.due)

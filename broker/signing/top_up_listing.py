"""A page of the rules by which contracts order more, with how many there are, and the invoices of their orders."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from broker.http.paging import fetch_page
from broker.signing.tables import Purchase, TopUpRule
from broker.signing.top_ups import StandingTopUp, select_top_ups, view_top_ups
from broker.work import Work


@dataclass(frozen=True)
class TopUpPage:
    """A page of rules; `count` is of all."""

    rows: Sequence[StandingTopUp]
    next_cursor: str | None
    count: int


async def fetch_top_ups(work: Work, *, limit: int, cursor: str | None) -> TopUpPage:
    """Fetch a page of the rules of all contracts. Raises: InvalidRequest, for a cursor that is none."""
    query = select_top_ups()
    count = int(await work.session.scalar(select(func.count()).select_from(query.subquery())) or 0)
    rules, after = await fetch_page(work.session, query, TopUpRule, limit=limit, cursor=cursor)
    return TopUpPage(await view_top_ups(work, rules), after, count)


async def list_order_invoices(work: Work, purchase_ids: Sequence[str]) -> dict[str, str]:
    """List the invoices by which orders are paid, by order."""
    query = select(Purchase.id, Purchase.invoice_id).where(Purchase.id.in_(purchase_ids))
    return dict((await work.session.execute(query)).all())

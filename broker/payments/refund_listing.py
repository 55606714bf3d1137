"""A page of refunds as finance sees them: of one state, with what all of them come to."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from broker.http.paging import fetch_page
from broker.payments.model import RefundStatus
from broker.payments.refunds import select_refunds
from broker.payments.tables import Refund
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class RefundPage:
    """A page of refunds, newest first; `count` and `amount` are of all that match."""

    rows: Sequence[Refund]
    next_cursor: str | None
    count: int
    amount: Money


async def fetch_refunds(work: Work, status: RefundStatus | None, *, limit: int, cursor: str | None) -> RefundPage:
    """Fetch a page of the refunds in a state; None: in any. Raises: InvalidRequest, for a cursor that is none."""
    query = select_refunds(status=status)
    found = query.subquery()
    sums = select(func.count(), func.coalesce(func.sum(found.c.amount_micros), 0))
    count, micros = (await work.session.execute(sums)).one()
    rows, after = await fetch_page(work.session, query, Refund, limit=limit, cursor=cursor)
    return RefundPage(rows, after, count, Money(int(micros)))

"""A page of fapiao as finance sees them: of one state, with what all of them come to; and what hangs on one."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from broker.fapiao.model import FapiaoStatus
from broker.fapiao.service import get_fapiao, read_left, select_fapiao
from broker.fapiao.tables import Fapiao, FapiaoFile
from broker.http.paging import fetch_page
from broker.work import Work
from pricing.money import Money

__all__ = ["Fapiao", "FapiaoInDetail", "FapiaoPage", "fetch_fapiao", "read_fapiao"]


@dataclass(frozen=True)
class FapiaoPage:
    """A page of fapiao, newest first; `count` and `amount` are of all that match."""

    rows: Sequence[Fapiao]
    next_cursor: str | None
    count: int
    amount: Money


@dataclass(frozen=True)
class FapiaoInDetail:
    """A fapiao with the red ones that take back of it, what they have left, and the formats of its files."""

    row: Fapiao
    reds: Sequence[Fapiao]
    left: Money
    formats: Sequence[str]


async def fetch_fapiao(
    work: Work, status: FapiaoStatus | None, *, number: str | None, limit: int, cursor: str | None
) -> FapiaoPage:
    """Fetch a page of the fapiao in a state, or of any, or the one with a number. Raises: InvalidRequest."""
    query = select_fapiao(status=status, number=number)
    found = query.subquery()
    sums = select(func.count(), func.coalesce(func.sum(found.c.amount_micros), 0))
    count, micros = (await work.session.execute(sums)).one()
    rows, after = await fetch_page(work.session, query, Fapiao, limit=limit, cursor=cursor)
    return FapiaoPage(rows, after, count, Money(int(micros)))


async def read_fapiao(work: Work, fapiao_id: str) -> FapiaoInDetail:
    """Read a fapiao with all that hangs on it. Raises: NotFound."""
    row = await get_fapiao(work, fapiao_id)
    reds = await work.session.scalars(select(Fapiao).where(Fapiao.red_of_id == row.id).order_by(Fapiao.id))
    files = await work.session.scalars(
        select(FapiaoFile.format).where(FapiaoFile.fapiao_id == row.id).order_by(FapiaoFile.format)
    )
    return FapiaoInDetail(row, list(reds), await read_left(work, row), list(files))

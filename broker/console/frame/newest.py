"""Pages of rows that a feature selects, the newest first: the console knows no feature's tables."""

from typing import TypeVar

from sqlalchemy import Select

from broker.http.paging import fetch_page
from broker.persistence.database import Base
from broker.work import Work

Row = TypeVar("Row", bound=Base)


async def fetch_newest(
    work: Work, query: Select[Row], *, limit: int, cursor: str | None = None
) -> tuple[list[Row], str | None]:
    """Fetch the newest rows of a query of one kind of row, after the one that the cursor names; and the next cursor.

    Raises: InvalidRequest, for another list's cursor.
    """
    (described,) = query.column_descriptions
    return await fetch_page(work.session, query, described["entity"], limit=limit, cursor=cursor)

"""Keyset paging over ids, newest first: an id is a ULID, so its order is the order of making."""

from typing import Any, Protocol, TypeVar

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped


class HasId(Protocol):
    id: Mapped[str]


Row = TypeVar("Row", bound=HasId)


async def fetch_page(
    session: AsyncSession, query: Select[tuple[Row]], table: type[Row], *, limit: int, cursor: str | None
) -> tuple[list[Row], str | None]:
    """The rows of one page and the cursor of the next. One query."""
    key: Any = table.id
    if cursor is not None:
        query = query.where(key < cursor)
    rows = list((await session.scalars(query.order_by(key.desc()).limit(limit + 1))).all())
    page = rows[:limit]
    return page, page[-1].id if len(rows) > limit else None

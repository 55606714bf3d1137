"""Keyset paging over ids, newest first: an id is a ULID, so its order is the order of making."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import BinaryExpression, BindParameter, Column, ColumnElement, Select, Table, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import operators, visitors

from broker import errors
from broker.http.shapes import NEWEST
from broker.persistence.database import Base

Row = TypeVar("Row", bound=Base)
Item = TypeVar("Item")


async def fetch_page(
    session: AsyncSession,
    query: Select[Row],
    table: type[Row],
    *,
    limit: int,
    cursor: str | None,
    order: str = NEWEST,
) -> tuple[list[Row], str | None]:
    """Fetch the rows of one page and the cursor of the next, in one query where there are rows.

    Raises: InvalidRequest, for another list's cursor; NotFound, where an empty list is narrowed to what there is not.
    """
    key: Any = inspect(table).primary_key[0]
    oldest_first = order != NEWEST
    in_order = query.order_by(key.asc() if oldest_first else key.desc())
    after = in_order if cursor is None else in_order.where(key > cursor if oldest_first else key < cursor)
    rows = list((await session.scalars(after.limit(limit + 1))).all())
    if cursor is not None:
        # Another list's cursor may lie beyond all ids of this one: nothing comes after it, and that is no last page.
        known = rows or (await session.scalars(in_order.limit(1))).all()
        if known and _kind(cursor) != _kind(getattr(known[0], key.name)):
            raise errors.invalid_field("cursor", "is not of this list; send the next_cursor of its page before")
    if not rows:
        await require_known_filters(session, query.whereclause)
    page = rows[:limit]
    return page, getattr(page[-1], key.name) if len(rows) > limit else None


async def require_known_filters(session: AsyncSession, narrowed: ColumnElement[bool] | None) -> None:
    """Require that there is each object to which an empty list is narrowed, and that the actor sees it.

    Nothing of a contract that nobody signed is no empty list, but a slip of the pen. Raises: NotFound.
    """
    for table, value in _list_named(narrowed):
        named = next(each.class_ for each in Base.registry.mappers if each.local_table is table)
        if await session.get(named, value) is None:
            raise errors.NotFound(table.name.removesuffix("s").replace("_", " "), value)


def _list_named(narrowed: ColumnElement[bool] | None) -> Iterator[tuple[Table, str]]:
    """List the objects that the condition of a list names by their ids, each with its table."""
    for each in () if narrowed is None else visitors.iterate(narrowed):
        if not isinstance(each, BinaryExpression) or each.operator is not operators.eq:
            continue
        column, wanted = each.left, each.right
        if isinstance(column, Column) and isinstance(wanted, BindParameter) and isinstance(wanted.value, str):
            yield from ((table, wanted.value) for table in _find_tables(column))


def _find_tables(column: Column[Any]) -> list[Table]:
    """Find the table that a column refers to: by its foreign key, or by its name where another one has the key."""
    tables = Base.metadata.tables
    referred = [tables[key.column.table.name] for key in column.foreign_keys if key.column.name == "id"]
    by_name = tables.get(f"{column.name.removesuffix('_id')}s") if column.name.endswith("_id") else None
    return referred or ([] if by_name is None else [by_name])


def cut_page(
    items: Sequence[Item], name_of: Callable[[Item], str], *, limit: int, cursor: str | None
) -> tuple[list[Item], str | None]:
    """Cut one page out of a short list that is read whole, after the item that the cursor names.

    Raises: InvalidRequest, where nothing has that name any more.
    """
    names = [name_of(item) for item in items]
    if cursor is not None and cursor not in names:
        raise errors.invalid_field("cursor", "is not of this list; send the next_cursor of its page before")
    first = 0 if cursor is None else names.index(cursor) + 1
    last = first + limit
    return list(items[first:last]), names[last - 1] if last < len(items) else None


def _kind(object_id: str) -> str:
    return object_id.partition("_")[0]

"""Rows written in sets: one statement for all rows of a table, changed or new, as one JSON document.

A session's own flush sends one statement for each row. Where a batch has changed hundreds, that is most of its time.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Table, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from broker.persistence.database import Base
from broker.persistence.documents import Document
from broker.persistence.driver import (
    DIALECT,
    Statement,
    compose_insert,
    compose_rows,
    execute_each,
    write_rows,
)

Columns = tuple[str, ...]
Values = Mapping[str, Any]


async def write_changes(session: AsyncSession) -> None:
    """Write what has changed in a session, and what is new; the changed rows leave it: read them again to go on.

    The caller has them locked.
    """
    connection = await session.connection()
    for (table, columns), rows in _collect_changes(session).items():
        await update_rows(connection, table, columns, rows)
    if session.new:
        await session.flush()


def _collect_changes(session: AsyncSession) -> dict[tuple[Table, Columns], list[Values]]:
    """Collect the changed rows by table and the columns that changed in any of them, and let go of the rows."""
    rows: defaultdict[Table, list[Values]] = defaultdict(list)
    columns: defaultdict[Table, set[str]] = defaultdict(set)
    for row in list(session.dirty):
        state = inspect(row)
        before, now, table = state.committed_state, state.dict, state.mapper.local_table
        changed = [name for name, value in before.items() if now[name] != value]
        if changed:
            rows[table].append(now)
            columns[table].update(changed)
        session.expunge(row)
    return {(table, tuple(sorted(columns[table]))): rows[table] for table in rows}


@lru_cache(maxsize=256)
def _list_keys(table: Table) -> Columns:
    return tuple(column.name for column in table.primary_key.columns)


async def update_rows(connection: AsyncConnection, table: Table, columns: Columns, rows: Sequence[Values]) -> None:
    """Update these columns of rows, which have them and those of their primary key."""
    told = (*_list_keys(table), *columns)
    written = write_rows([_write_row(table, {name: row[name] for name in told}) for row in rows])
    await execute_each(connection, _compose_update(table, columns), [{"rows": written}])


def _write_row(table: Table, row: Values) -> dict[str, Any]:
    return {name: _write_value(table.c[name].type, value) for name, value in row.items()}


def _write_value(kind: Any, value: Any) -> Any:
    return kind.process_bind_param(value, DIALECT) if isinstance(kind, Document) else value


@lru_cache(maxsize=256)
def _compose_update(table: Table, columns: Columns) -> Statement:
    keys = _list_keys(table)
    changed = ", ".join(f"{name} = told.{name}" for name in columns)
    same = " AND ".join(f"kept.{name} = told.{name}" for name in keys)
    told = f"{compose_rows(table)} AS told"
    return Statement(text(f"UPDATE {table.name} AS kept SET {changed} FROM {told} WHERE {same}"))  # noqa: S608 (names of our own)


async def insert_rows(
    connection: AsyncConnection, of: type[Base], rows: Sequence[Values], *, adding: str | None = None
) -> None:
    """Insert rows that all have the same columns; where one with its primary key is there, add to its column `adding`.

    In that case no two of the rows may have the same key.
    """
    if not rows:
        return
    table = of.__table__
    assert isinstance(table, Table)
    written = write_rows([_write_row(table, row) for row in rows])
    await execute_each(connection, _compose_insert(table, tuple(rows[0]), adding), [{"rows": written}])


@lru_cache(maxsize=256)
def _compose_insert(table: Table, columns: Columns, adding: str | None) -> Statement:
    insert = compose_insert(table, columns)
    if adding is not None:
        keys = ", ".join(_list_keys(table))
        insert += f" ON CONFLICT ({keys}) DO UPDATE SET {adding} = kept.{adding} + excluded.{adding}"
    return Statement(text(insert))

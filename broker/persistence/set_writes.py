"""Rows written in sets: one statement for all rows of a table, changed or new, as one JSON document.

A session's own flush sends one statement for each row. Where a batch has changed hundreds, that is most of its time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Table, text

from broker.persistence.database import Base
from broker.persistence.documents import Document
from broker.persistence.driver import DIALECT, Command, Statement, write_rows

Columns = tuple[str, ...]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Copied:
    """Columns that PostgreSQL copies from another table's row, whose id a column of the new row names."""

    table: str
    named_by: str
    columns: Columns


def command_updates(table: Table, columns: Columns, rows: Sequence[Values]) -> list[Command]:
    """Make the command that updates these columns of locked rows, which have them and those of their primary key."""
    if not rows:
        return []
    told = (*_list_keys(table), *columns)
    written = write_rows([_write_row(table, {name: row[name] for name in told}) for row in rows])
    keys = sorted({row[told[0]] for row in rows})
    return [Command(_compose_update(table, columns), {"rows": written, "keys": keys})]


def command_additions(of: type[Base], column: str, rows: Sequence[Values]) -> list[Command]:
    """Make the command that adds to one column of rows that are there; these have it and those of their primary key.

    No two of the rows may have the same key.
    """
    if not rows:
        return []
    table = of.__table__
    assert isinstance(table, Table)
    told = (*_list_keys(table), column)
    written = write_rows([{name: row[name] for name in told} for row in rows])
    keys = sorted({row[told[0]] for row in rows})
    return [Command(_compose_update(table, (column,), adding=True), {"rows": written, "keys": keys})]


def command_inserts(
    of: type[Base],
    rows: Sequence[Values],
    *,
    adding: str | None = None,
    copied: Copied | None = None,
    skipping: bool = False,
) -> list[Command]:
    """Make the command that inserts rows which all have the same columns, and beside them those that are `copied`.

    With `adding`, where a row with the same primary key is there, that column is added to; in that case no two of the
    rows may have the same key. Where there is no row to copy from, the copied columns are null. `skipping` leaves out
    those that are there.
    """
    if not rows:
        return []
    table = of.__table__
    assert isinstance(table, Table)
    written = write_rows([_write_row(table, row) for row in rows])
    statement = _compose_insert(table, tuple(rows[0]), adding, copied, skipping=skipping)
    return [Command(statement, {"rows": written})]


@lru_cache(maxsize=256)
def _list_keys(table: Table) -> Columns:
    return tuple(column.name for column in table.primary_key.columns)


@lru_cache(maxsize=256)
def _list_documents(table: Table) -> Mapping[str, Document]:
    return {column.name: column.type for column in table.c if isinstance(column.type, Document)}


def _write_row(table: Table, row: Values) -> Values:
    documents = _list_documents(table)
    written = {name: kind.process_bind_param(row[name], DIALECT) for name, kind in documents.items() if name in row}
    return {**row, **written} if written else row


@lru_cache(maxsize=256)
def _compose_update(table: Table, columns: Columns, *, adding: bool = False) -> Statement:
    """Compose what updates rows; their first keys are told once more, so that the index finds them in any plan."""
    keys = _list_keys(table)
    before = "kept.{0} + " if adding else ""
    changed = ", ".join(f"{name} = {before.format(name)}told.{name}" for name in columns)
    same = " AND ".join(f"kept.{name} = told.{name}" for name in keys)
    found = f"kept.{keys[0]} = ANY(CAST(:keys AS {table.c[keys[0]].type.compile(DIALECT)}[]))"
    told = _compose_rows(table, (*keys, *columns))
    update = f"UPDATE {table.name} AS kept SET {changed} FROM {told} WHERE {same} AND {found}"  # noqa: S608 (names of our own)
    return Statement(text(update), planned_once=True)


@lru_cache(maxsize=256)
def _compose_insert(
    table: Table, columns: Columns, adding: str | None, copied: Copied | None, *, skipping: bool
) -> Statement:
    names = ", ".join((*columns, *(() if copied is None else copied.columns)))
    told = _compose_rows(table, columns) + ("" if copied is None else _compose_copied(copied))
    insert = f"INSERT INTO {table.name} AS kept ({names}) SELECT {names} FROM {told}"  # noqa: S608 (names of our own)
    if adding is not None:
        keys = ", ".join(_list_keys(table))
        insert += f" ON CONFLICT ({keys}) DO UPDATE SET {adding} = kept.{adding} + excluded.{adding}"
    elif skipping:
        insert += " ON CONFLICT DO NOTHING"
    return Statement(text(insert), planned_once=True)


def _compose_copied(copied: Copied) -> str:
    """Compose what finds the rows to copy from, one by one: OFFSET keeps them from becoming a join of whole tables."""
    one = f"SELECT {', '.join(copied.columns)} FROM {copied.table} WHERE id = told.{copied.named_by} OFFSET 0"  # noqa: S608 (names of our own)
    return f" LEFT JOIN LATERAL ({one}) AS source ON true"


def _compose_rows(table: Table, names: Columns) -> str:
    """Compose what reads the parameter `rows`, as `write_rows` writes them, as `told`: these columns of a table."""
    columns = ", ".join(f"{name} {table.c[name].type.compile(DIALECT)}" for name in names)
    return f"json_to_recordset(CAST(:rows AS json)) AS told ({columns})"

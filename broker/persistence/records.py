"""Locked rows past the session: read as plain records, changed in memory, and written in sets.

A session's bookkeeping of each row and of each change costs more than all that a hot path does with them. A record has
the columns, properties and methods of its mapped class, and belongs to no session: what is changed in one is written by
the command that its `Records` makes, and by nothing else.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Generic, TypeVar

from sqlalchemy import Table, TypeDecorator, inspect

from broker.persistence.database import Base
from broker.persistence.driver import DIALECT, Command, Row, make_twin
from broker.persistence.set_writes import command_inserts, command_updates

Mapped = TypeVar("Mapped", bound=Base)

# By the row's key and the column: the JSON, and what it was read as.
Documents = dict[tuple[object, str], tuple[object, object]]
DOCUMENTS_KEPT = 4096


class RecordFormat(Generic[Mapped]):
    """How the rows of a table are read as records: of all columns but some, and those that the database computes."""

    def __init__(self, mapped: type[Mapped], *, without: Iterable[str] = ()) -> None:
        table = inspect(mapped).local_table
        assert isinstance(table, Table)
        self.mapped, self.table, left_out = mapped, table, set(without)
        self.columns = [column for column in table.c if column.computed is None and column.name not in left_out]
        self.names = [column.name for column in self.columns]
        self.unsaid = {column.name: None if column.default is None else column.default.arg for column in self.columns}
        self.key = self.names.index(table.primary_key.columns[0].name)
        self.documents = _keep_documents(mapped)
        self.kinds = [(each.name, each.type) for each in self.columns if isinstance(each.type, TypeDecorator)]
        self.twin = make_twin(mapped)

    def read(self, rows: Iterable[Row]) -> "Records[Mapped]":
        """Read records from the values of the format's columns, as the driver fetched them."""
        records = Records(self)
        for row in rows:
            values = dict(zip(self.names, row, strict=True))
            for name, kind in self.kinds:
                values[name] = self._read_document((row[self.key], name), kind, values[name])
            records.add(values)
        return records

    def _read_document(self, place: tuple[object, str], kind: TypeDecorator[Any], written: object) -> object:
        """Read a value that is kept as JSON; the same JSON in the same place is not read anew. Nobody changes it."""
        if written is None:
            return None
        source, value = self.documents.get(place, (None, None))
        if source != written:
            value = kind.process_result_value(written, DIALECT)
            if len(self.documents) >= DOCUMENTS_KEPT:
                self.documents.clear()
            self.documents[place] = (written, value)
        return value


@cache
def _keep_documents(_mapped: type[Base]) -> Documents:
    """Keep what was read last of a table's JSON: what one format has read of a row, the others of the table know."""
    return {}


class Records(Generic[Mapped]):
    """The records of some rows, in the order in which they were read, and what each was then; and new ones."""

    def __init__(self, form: RecordFormat[Mapped]) -> None:
        self.form = form
        self._read: list[tuple[Mapped, dict[str, Any]]] = []
        self._new: list[Mapped] = []

    def add(self, values: dict[str, Any]) -> None:
        record = object.__new__(self.form.twin)
        record.__dict__.update(values)
        self._read.append((record, values))

    def make(self, **values: Any) -> Mapped:
        """Make the record of a new row, which is written with what has changed; what is not said has its default."""
        assert values.keys() <= self.form.unsaid.keys(), "the row's own columns are named"
        record = object.__new__(self.form.twin)
        record.__dict__.update(self.form.unsaid, **values)
        self._new.append(record)
        return record

    def __iter__(self) -> Iterator[Mapped]:
        return (record for record, _values in self._read)

    def command_changes(self) -> list[Command]:
        """Make the commands that write what is new and what has changed, each in one statement; none for none.

        A new record is written once, and is one that was read from then on.
        """
        new, self._new = self._new, []
        inserts = command_inserts(self.form.mapped, [vars(record) for record in new])
        updates = self._command_updates()
        self._read += [(record, dict(vars(record))) for record in new]
        return [*inserts, *updates]

    def _command_updates(self) -> list[Command]:
        changed: list[dict[str, Any]] = []
        columns: set[str] = set()
        for record, before in self._read:
            now = vars(record)
            names = [name for name, value in before.items() if now[name] is not value and now[name] != value]
            if names:
                changed.append(now)
                columns.update(names)
        return command_updates(self.form.table, tuple(sorted(columns)), changed) if changed else []

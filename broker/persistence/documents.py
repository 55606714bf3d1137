"""Values of the domain that are kept as JSON, and numbers within JSON. One that cannot be read stops nobody else.

A row may hold what no release of today writes: mended by hand, or written by an earlier one. Whoever fetches rows gets
all of them; whoever uses the value that is broken is told.
"""

from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from sqlalchemy import BigInteger, ColumnElement, Dialect, Numeric, TypeDecorator, case, cast, func
from sqlalchemy.dialects.postgresql import JSONB

INT64 = range(-(2**63), 2**63)
Value = TypeVar("Value")


class UnreadableDocument(ValueError):
    """A value of a row is used that cannot be read."""


class Unreadable:
    """Stands where the value of a row should be: fetching it is no error, using it is."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __getattr__(self, _name: str) -> NoReturn:
        raise UnreadableDocument(self.reason)

    def __iter__(self) -> Iterator[Any]:
        raise UnreadableDocument(self.reason)

    def __repr__(self) -> str:
        return f"Unreadable({self.reason!r})"


def explain_unreadable(value: object) -> str | None:
    """Find why a fetched value cannot be used; None for one that can."""
    return value.reason if isinstance(value, Unreadable) else None


def keep_readable(value: Value) -> Value | None:
    """Keep a fetched value that can be used: None stands for one that cannot."""
    return None if isinstance(value, Unreadable) else value


class Document(TypeDecorator[Any]):
    """A value of the domain kept as JSON: `tables.py` says how it is written and read, and nothing else does.

    In an expression over parts of the JSON it behaves as JSONB does.
    """

    impl = JSONB
    cache_ok = True

    def __init__(self, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> None:
        super().__init__(none_as_null=True)
        self.write, self.read = write, read

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - as SQLAlchemy calls it
        return None if value is None else self.write(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - as SQLAlchemy calls it
        try:
            return None if value is None else self.read(value)
        except Exception as error:  # noqa: BLE001 (whatever is wrong with one row, the others are read)
            return Unreadable(f"{type(error).__name__}: {error}")


def json_integer(part: ColumnElement[Any]) -> ColumnElement[Any]:
    """Read a number of a JSON column in SQL as 64 bits: null where it is no number, or does not fit.

    A cast of our own might have fewer bits, and one row that it cannot read would stop the statement for all.
    """
    number = cast(part.as_string(), Numeric)
    fits = case((number.between(INT64.start, INT64.stop - 1), cast(number, BigInteger)))
    return case((func.jsonb_typeof(part) == "number", fits))

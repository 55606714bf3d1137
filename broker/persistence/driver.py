"""Statements that go to the driver itself, past SQLAlchemy: those of every request cost a third of the time this way.

They run in the transaction of their connection. They see nothing that a session has not flushed, and a session's guard
of tenancy does not see them: a statement over a customer's rows carries the condition itself (`tenancy.owns`).

Several of them go in one message (`run_together`), which costs as much as one: a hot path reads in one and writes in
one. Such a message takes no parameters, so each connection prepares a statement once and is told its values as
literals.
"""

import hashlib
import re
from collections import namedtuple
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from types import FunctionType
from typing import Any, Generic, Self, TypeVar

import orjson
import psycopg
from psycopg import sql
from pydantic_core import to_json
from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    CompoundSelect,
    Select,
    TypeDecorator,
    and_,
    func,
    inspect,
    make_url,
    select,
)
from sqlalchemy.engine.interfaces import PoolProxiedConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from broker.persistence.message import send_message

Driver = psycopg.AsyncConnection[tuple[Any, ...]]
Parameters = Mapping[str, object]
Row = tuple[Any, ...]
Mapped = TypeVar("Mapped")
DIALECT = make_url("postgresql+psycopg://").get_dialect()()
NAMED = re.compile(r"%\((\w+)\)s")
PREPARED = "prepared"
PLAIN_KINDS = frozenset({str, int, type(None)})
WORDS = frozenset({str})
LIST_PREPARED = b"SELECT name FROM pg_prepared_statements"
COMMIT = b"COMMIT"
# A plan that is made while a table is small would read all of it, and is kept as the table grows.
PLAN_ONCE = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
PLANNED_ONCE = "; ".join(f"SET LOCAL {name} TO {value}" for name, value in PLAN_ONCE.items()).encode()
PLANNED_AS_USUAL = "; ".join(f"SET LOCAL {name} TO DEFAULT" for name in PLAN_ONCE).encode()


class Statement:
    """A statement of SQLAlchemy, compiled once. Its parameters are what the session would be given for its columns.

    One that is `planned_once` finds its rows by keys that are given to it: whatever they are, there is one plan, which
    goes by the indexes. Others are planned for their values, where the server takes that to be worth it.
    """

    def __init__(self, statement: ClauseElement, *, planned_once: bool = False) -> None:
        self.planned_once = planned_once
        compiled = statement.compile(dialect=DIALECT)
        assert isinstance(compiled, SQLCompiler)
        self.text = str(compiled).encode()
        processors = {name: _find_processor(bound.type) for bound, name in compiled.bind_names.items()}
        self.processors = {name: process for name, process in processors.items() if process is not None}
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        self.constants = self._process(constants)
        self.names = list(dict.fromkeys(NAMED.findall(self.text.decode())))
        self.prepared_as = f"lb_{hashlib.sha256(self.text).hexdigest()[:24]}"

    def write_prepare(self) -> bytes:
        """Write the command by which a connection prepares the statement; types follow from the casts within it."""
        numbered = NAMED.sub(lambda found: f"${self.names.index(found[1]) + 1}", self.text.decode())
        return f"PREPARE {self.prepared_as} AS {numbered.replace('%%', '%')}".encode()

    def write_execute(self, parameters: Parameters, driver: Driver) -> bytes:
        """Write the command that executes the prepared statement with these values."""
        bound = self.bind(parameters)
        values = b", ".join(_write_literal(bound.get(name), driver) for name in self.names)
        return b"EXECUTE %s (%s)" % (self.prepared_as.encode(), values) if values else self._execute_alone()

    def _execute_alone(self) -> bytes:
        return f"EXECUTE {self.prepared_as}".encode()

    def bind(self, parameters: Parameters) -> Parameters:
        return {**self.constants, **self._process(parameters)} if self.constants else self._process(parameters)

    def _process(self, parameters: Parameters) -> Parameters:
        if not self.processors:
            return parameters
        processed = {name: process(parameters[name]) for name, process in self.processors.items() if name in parameters}
        return {**parameters, **processed}


class Requirement(Statement):
    """A statement that ends its message and its transaction where a condition does not hold.

    Raises, where it is run: AssertFailure.
    """

    def __init__(self, condition: ColumnElement[bool]) -> None:
        super().__init__(select(func.require_supposed(condition)))
        self.condition = condition


def require(condition: ColumnElement[bool]) -> Requirement:
    """Make the statement that requires a condition."""
    return Requirement(condition)


def require_all(commands: Sequence["Command"]) -> "Command":
    """Make one command of several that require something each: a statement costs as much as what most of them look at.

    What they name alike has one value.
    """
    parameters: dict[str, object] = {}
    for name, value in (told for each in commands for told in each.parameters.items()):
        assert parameters.setdefault(name, value) == value, f"two requirements name {name}"
    return Command(_compose_requirement(tuple(each.statement for each in commands)), parameters)


@lru_cache(maxsize=64)
def _compose_requirement(statements: tuple[Statement, ...]) -> Requirement:
    """Compose the statement that requires what each of several does."""
    conditions = [each.condition for each in statements if isinstance(each, Requirement)]
    assert len(conditions) == len(statements), "each of them requires something"
    return Requirement(and_(*conditions))


class Query(Statement):
    """A SELECT of SQLAlchemy, compiled once; its rows are tuples with the names of its columns."""

    def __init__(
        self, query: Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]], *, planned_once: bool = False
    ) -> None:
        super().__init__(query, planned_once=planned_once)
        self.row = namedtuple("Row", [column.key for column in query.selected_columns])  # type: ignore[misc]  # noqa: PYI024


def _write_literal(value: object, driver: Driver) -> bytes:
    """Write a value as a literal; what most values are without looking up how their type is written."""
    if type(value) is str and "\0" not in value and _takes_backslashes(driver):
        return b"'%s'" % value.replace("'", "''").encode()
    if type(value) is list and PLAIN_KINDS.issuperset(kinds := set(map(type, value))):
        words = value if kinds == WORDS else [element for element in value if type(element) is str]
        if not _has_any("".join(words), "'\"\\\0"):
            return _write_array(value, kinds)
    if type(value) is datetime and value.tzinfo is not None:
        return b"'%s'::timestamptz" % str(value).encode()
    return sql.Literal(value).as_bytes(driver)


def _takes_backslashes(driver: Driver) -> bool:
    """Tell whether a backslash in a literal is one, as the standard has it and every server is set up, if not told so.

    JSON within JSON is full of them, and the driver would write each twice, for the server to find and undo.
    """
    return driver.pgconn.parameter_status(b"standard_conforming_strings") == b"on"


def _has_any(text: str, signs: str) -> bool:
    """Tell whether a text, which may be long, has one of a few signs: each is looked for at the speed of memory."""
    return any(sign in text for sign in signs)


def _write_array(elements: Sequence[str | int | None], kinds: AbstractSet[type]) -> bytes:
    """Write a list of plain elements as the literal of an array; one of words alone is joined at once."""
    if kinds == WORDS:
        joined = '","'.join(elements)  # type: ignore[arg-type]
        return f"'{{\"{joined}\"}}'".encode()
    return f"'{{{','.join(map(_write_element, elements))}}}'".encode()


def _write_element(element: str | int | None) -> str:
    """Write a plain element of an array; the statement knows its type."""
    if element is None:
        return "NULL"
    return f'"{element}"' if isinstance(element, str) else str(element)


def _find_processor(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """Get the function that turns a value of the column into one of the driver; None where the two are the same."""
    processor: Callable[[Any], Any] | None = kind.dialect_impl(DIALECT).bind_processor(DIALECT)
    return processor


class RowFormat(Generic[Mapped]):
    """Reads and writes whole rows of a table as the session would; what it reads belongs to no session.

    What the driver knows is the column's value, but for those kinds of our own that are kept as JSON. Columns that the
    database computes of others are no part of it.
    """

    def __init__(self, mapped: type[Mapped]) -> None:
        columns = [column for column in inspect(mapped).local_table.columns if column.computed is None]
        self.names = [column.key for column in columns]
        self.owner = self.names.index("customer_id") if "customer_id" in self.names else None
        self.defaults = [(column.key, column.default.arg) for column in columns if column.default is not None]
        self.values = [(column.key, column.type) for column in columns if isinstance(column.type, TypeDecorator)]
        self.unsaid = dict.fromkeys(self.names) | dict(self.defaults)
        self.twin = make_twin(mapped)

    def read(self, values: Row) -> Mapped:
        """Read a row from the values of all its columns."""
        read = dict(zip(self.names, values, strict=True))
        for name, kind in self.values:
            read[name] = kind.process_result_value(read[name], DIALECT)
        return self._assemble(read)

    def make(self, **values: Any) -> Mapped:
        """Make a new row that no session knows; what is not said has its default, or is None."""
        assert values.keys() <= self.unsaid.keys(), "the row's own columns are named"
        return self._assemble(self.unsaid | values)

    def _assemble(self, values: dict[str, Any]) -> Mapped:
        row = object.__new__(self.twin)
        row.__dict__.update(values)  # a session's bookkeeping of each attribute costs more than all the rest
        return row

    def owner_of(self, values: Row) -> str:
        """Tell whose row it is, of a table that says so."""
        assert self.owner is not None
        owner: str = values[self.owner]
        return owner

    def write(self, row: Mapped, *, without: AbstractSet[str] = frozenset()) -> dict[str, Any]:
        """Write a row for `set_writes.command_inserts`, with the defaults of what it does not say.

        It is written without some columns where another row has them to copy from.
        """
        written = pick_values(row, [name for name in self.names if name not in without] if without else self.names)
        unsaid = {name: value for name, value in self.defaults if written.get(name, value) is None}
        return written | unsaid if unsaid else written


def make_twin(mapped: type[Mapped]) -> type[Mapped]:
    """Make a class with the properties and methods of a mapped one that no session knows of.

    Its attributes are plain ones: a mapped class asks its bookkeeping for each, which is most of what a look takes.
    """
    own = {name: member for name, member in vars(mapped).items() if isinstance(member, property | FunctionType)}
    return type(mapped.__name__, (), own)


def pick_values(row: object, names: Iterable[str]) -> dict[str, Any]:
    """Pick values of a row by their names, past a session's bookkeeping where the row has them at hand."""
    known = row.__dict__
    try:
        return {name: known[name] for name in names}
    except KeyError:
        return {name: getattr(row, name) for name in names}


@dataclass(frozen=True)
class Command:
    """A statement with its parameters, to be executed together with others.

    One that `finds_nothing`, since it is asked for nothing, is not sent: planning it costs as much as the others take.
    It stands among statements that all answer with rows.
    """

    statement: Statement
    parameters: Parameters = field(default_factory=dict)
    finds_nothing: bool = False


def write_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as one JSON document; moments and decimals as text, which PostgreSQL reads by their columns' types."""
    try:
        return orjson.dumps(rows, _write_decimal).decode()
    except TypeError:  # what only the slower one knows, such as a set, or a whole number beyond 64 bits
        return to_json(rows, fallback=str).decode()


def _write_decimal(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError


@dataclass(frozen=True)
class Driven:
    """The driver's own connection, and what is remembered of it for as long as it lives."""

    driver: Driver
    info: MutableMapping[Any, Any]

    @classmethod
    def of(cls, pooled: PoolProxiedConnection) -> Self:
        """Take the driver's connection out of the pool's wrapper."""
        driver = pooled.driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        return cls(driver, pooled.info)

    def require_alive(self) -> None:
        """Look whether the server has closed an idle connection: its last words and its end are there to be read then.

        Raises: psycopg.OperationalError.
        """
        for _its_last_words_and_its_end in range(2):
            self.driver.pgconn.consume_input()

    @property
    def is_idle(self) -> bool:
        """Tell whether no transaction is open on it."""
        return self.driver.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@asynccontextmanager
async def driving(connection: AsyncConnection) -> AsyncIterator[Driven]:
    """Open the driver's own connection; one that turns out to be dead leaves the pool.

    Raises: sqlalchemy.exc.OperationalError, as for every other statement.
    """
    assert connection.sync_connection is not None
    if connection.invalidated:  # by an earlier statement of its transaction, whose failure somebody has passed over
        raise as_failure(psycopg.OperationalError("the connection of this transaction is dead"), is_dead=True)
    driven = Driven.of(connection.sync_connection.connection)
    try:
        yield driven
    except psycopg.OperationalError as error:
        if driven.driver.closed:
            await connection.invalidate(error)
        raise as_failure(error, is_dead=driven.driver.closed) from error


def as_failure(error: psycopg.OperationalError, *, is_dead: bool) -> OperationalError:
    """Make of the driver's failure what every other statement would have raised."""
    return OperationalError(None, None, error, connection_invalidated=is_dead)


async def fetch_all(connection: AsyncConnection, statement: Statement, parameters: Parameters) -> list[Row]:
    """Fetch all rows of a statement."""
    async with driving(connection) as driven:
        return await ask_all(driven, statement, parameters)


async def ask_all(driven: Driven, statement: Statement, parameters: Parameters) -> list[Row]:
    """Fetch all rows of a statement, on the driver's own connection."""
    cursor = await driven.driver.execute(statement.text, statement.bind(parameters))
    return await cursor.fetchall()


async def fetch_rows(connection: AsyncConnection, query: Query, parameters: Parameters) -> list[Any]:
    """Fetch all rows of a query, as the driver reads their values."""
    return [query.row(*row) for row in await fetch_all(connection, query, parameters)]


async def execute_each(connection: AsyncConnection, statement: Statement, rows: Sequence[Parameters]) -> None:
    """Execute a statement once for each row of parameters."""
    async with driving(connection) as driven:
        if len(rows) == 1:
            await driven.driver.execute(statement.text, statement.bind(rows[0]))
        else:
            await driven.driver.cursor().executemany(statement.text, [statement.bind(row) for row in rows])


async def run_together(
    connection: AsyncConnection, commands: Sequence[Command], *, before: bytes = b"", after: bytes = b""
) -> list[list[Row]]:
    """Run statements in one message, each upon what the one before has done; returns the rows of each.

    `before` and `after` are commands without parameters and rows that go in the same message.
    """
    async with driving(connection) as driven:
        return await ask_together(driven, commands, before=before, after=after)


async def ask_together(
    driven: Driven, commands: Sequence[Command], *, before: bytes = b"", after: bytes = b""
) -> list[list[Row]]:
    """Run statements in one message as `run_together` does, on the driver's own connection."""
    sent = [command for command in commands if not command.finds_nothing]
    await _prepare(driven, sent)
    script = [part for part in (before, *_write_executes(sent, driven.driver), after) if part]
    found = await send_message(driven.driver, b";".join(script)) if script else []
    return found if len(sent) == len(commands) else _put_in_order(commands, found)


def _write_executes(commands: Sequence[Command], driver: Driver) -> Iterator[bytes]:
    """Write the commands that execute statements, with the settings between them for those that are planned once."""
    for planned_once, alike in groupby(commands, lambda command: command.statement.planned_once):
        if planned_once:
            yield PLANNED_ONCE
        for command in alike:
            yield command.statement.write_execute(command.parameters, driver)
        if planned_once:
            yield PLANNED_AS_USUAL


def _put_in_order(commands: Sequence[Command], found: Sequence[list[Row]]) -> list[list[Row]]:
    """Put what was found in the order of all commands, those that were not sent among them."""
    left = iter(found)
    rows = [[] if command.finds_nothing else next(left) for command in commands]
    assert next(left, None) is None, "all that is sent beside one that finds nothing answers with rows"
    return rows


async def _prepare(driven: Driven, commands: Sequence[Command]) -> None:
    """Prepare the statements that this connection does not know yet; what it knows is asked where that is forgotten."""
    driver, info = driven.driver, driven.info
    missing = [each.statement for each in commands if each.statement.prepared_as not in info.get(PREPARED, ())]
    if missing and PREPARED not in info:
        found = await driver.execute(LIST_PREPARED)
        info[PREPARED] = {name for (name,) in await found.fetchall()}
    for statement in missing:
        if statement.prepared_as not in info[PREPARED]:
            await driver.execute(statement.write_prepare())
            info[PREPARED].add(statement.prepared_as)


async def commit(connection: AsyncConnection) -> None:
    """Commit the connection's transaction; where a session has committed already, do nothing."""
    async with driving(connection) as driven:
        if not driven.is_idle:
            await driven.driver.commit()

"""Statements of the driver: in the transaction of the session beside them, and with its errors."""

import json
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis.strategies import datetimes, timezones
from psycopg import sql
from psycopg.errors import AssertFailure, UniqueViolation
from sqlalchemy import ARRAY, BigInteger, DateTime, Text, any_, bindparam, insert, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from broker.capacity.tables import Queue
from broker.contracts.terms.model import GrantStatus
from broker.identity.tables import Customer
from broker.persistence.database import Scope, TimeLimits
from broker.persistence.driver import (
    COMMIT,
    Command,
    RowFormat,
    Statement,
    execute_each,
    fetch_all,
    require,
    require_all,
    run_together,
    write_rows,
)
from broker.persistence.set_writes import command_inserts
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.conftest import START
from tests.broker.messages import listing_messages
from tests.broker.rows import owner_connection

INSERT = Statement(insert(Customer))
COUNT = Statement(text("SELECT count(*) FROM customers"))
DIE = Statement(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def connection_of(session: AsyncSession) -> AsyncConnection:
    assert isinstance(session.bind, AsyncConnection)
    return session.bind


def row(number: int) -> dict[str, object]:
    told = {"id": f"cus_{number}", "name": f"Customer {number}", "created_at": START}
    return dict.fromkeys(column.name for column in Customer.__table__.columns) | told | {"verification": "unverified"}


KNOWN = Statement(
    select(Customer.id).where(Customer.id == any_(bindparam("ids", type_=ARRAY(Text)))), planned_once=True
)
PLANS = Statement(
    text(
        "SELECT generic_plans, custom_plans, current_setting('plan_cache_mode'), current_setting('enable_seqscan')"
        " FROM pg_prepared_statements WHERE name = :name"
    )
)


async def test_what_is_planned_once_has_one_plan_from_the_first_on_and_others_are_planned_as_usual(
    system: System,
) -> None:
    async with system.database.transaction(Scope.ALL) as session:
        asked = [Command(KNOWN, {"ids": [f"cus_{number}"]}) for number in range(2)]
        plans = Command(PLANS, {"name": KNOWN.prepared_as})
        *_known, (told,) = await run_together(connection_of(session), [*asked, plans])
    assert told == (2, 0, "auto", "on")


async def count_customers(system: System) -> int:
    async with system.database.transaction(Scope.ALL) as session:
        ((count,),) = await fetch_all(connection_of(session), COUNT, {})
        return int(count)


@pytest.mark.parametrize("numbers", [[1], [1, 2, 3]])
async def test_what_the_driver_writes_is_seen_by_the_session_and_committed_with_it(
    system: System, numbers: list[int]
) -> None:
    async with system.database.transaction(Scope.ALL) as session:
        await execute_each(connection_of(session), INSERT, [row(number) for number in numbers])
        assert set(await session.scalars(select(Customer.id))) == {f"cus_{number}" for number in numbers}
    assert await count_customers(system) == len(numbers)


async def test_what_the_driver_writes_alone_is_committed_too(system: System) -> None:
    async with system.database.transaction(Scope.ALL) as session:
        await execute_each(connection_of(session), INSERT, [row(1)])
    assert await count_customers(system) == 1


async def test_what_the_driver_and_the_session_wrote_is_rolled_back_together(system: System) -> None:
    async def fail() -> None:
        async with system.database.transaction(Scope.ALL) as session:
            await execute_each(connection_of(session), INSERT, [row(1)])
            session.add(Customer(**row(2)))
            await session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await count_customers(system) == 0
    assert system.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_row_that_is_added_to_the_session_alone_is_committed(system: System) -> None:
    """Nothing was flushed when the block ended."""
    async with system.database.transaction(Scope.ALL) as session:
        session.add(Customer(**row(1)))
    assert await count_customers(system) == 1


async def test_constants_of_a_statement_are_its_own(system: System) -> None:
    """A limit, or a value in a condition, is not asked for again."""
    first = Statement(select(Queue.name).where(Queue.priority > 150).order_by(Queue.name).limit(1))
    async with system.database.transaction(Scope.ALL) as session:
        assert await fetch_all(connection_of(session), first, {}) == [("priority",)]


async def test_connection_that_dies_is_told_as_every_other_statement_tells_it(
    system: System, urls: DatabaseUrls
) -> None:
    with pytest.raises(OperationalError) as raised:
        async with system.database.transaction(Scope.ALL) as session:
            await fetch_all(connection_of(session), DIE, {})
    assert raised.value.connection_invalidated
    with owner_connection(urls) as connection:
        connection.execute("INSERT INTO customers VALUES ('cus_1', 'Acme', now())")
    assert await count_customers(system) == 1


FIND = Statement(select(Customer.name).where(Customer.id == any_(bindparam("ids", type_=ARRAY(Text)))))


def insert_all(*numbers: int) -> Command:
    (command,) = command_inserts(Customer, [row(number) for number in numbers])
    return command


async def test_statements_of_one_message_see_each_others_work_and_each_has_its_own_rows(system: System) -> None:
    commands = [Command(COUNT), insert_all(1, 2), Command(COUNT), Command(FIND, {"ids": ["cus_2", "it's %s; --"]})]
    async with system.database.transaction_with(commands, Scope.ALL, limits=TimeLimits(1)) as (_session, rows):
        assert rows == [[(0,)], [(2,)], [("Customer 2",)]]
    assert await count_customers(system) == 2


ECHO = Statement(text("SELECT CAST(:texts AS text[]), CAST(:numbers AS bigint[])"))


@pytest.mark.parametrize(
    "texts", [[], ["a"], ["a", None, "", "NULL", "{b,c}", " d "], ['"e"'], ["f\\"], ["g'"], ["%s; --", "火", "a,b"]]
)
async def test_an_array_comes_as_it_was_given_whatever_its_elements_are(
    system: System, texts: list[str | None]
) -> None:
    numbers = [2**62, None, -1]
    async with system.database.transaction(Scope.ALL) as session:
        told = {"texts": texts, "numbers": numbers}
        assert await run_together(connection_of(session), [Command(ECHO, told)]) == [[(texts, numbers)]]


@pytest.mark.parametrize("setting", ["on", "off"])
@pytest.mark.parametrize("words", ["O'Brien", "a \\ b \\' c", '{"quote": "\\"it\'s\\""}', "$1 %s \n ''", "\\"])
async def test_words_come_as_they_were_given_whatever_signs_are_in_them(
    system: System, words: str, setting: str
) -> None:
    """A message has them as literals, in which a backslash is one, unless the server is told otherwise."""
    say = Statement(text("SELECT CAST(:words AS text)"))
    async with system.database.transaction(Scope.ALL) as session:
        await session.execute(text(f"SET LOCAL standard_conforming_strings TO {setting}"))
        assert await run_together(connection_of(session), [Command(say, {"words": words})]) == [[(words,)]]


async def test_what_is_asked_for_nothing_is_not_sent_and_finds_nothing(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (Command(Statement(text(f"SELECT {number}"))) for number in (1, 2))
    nothing = Command(Statement(text("SELECT 3")), finds_nothing=True)
    async with system.database.transaction(Scope.ALL) as session:
        connection = connection_of(session)
        await run_together(connection, [one, two])
        with listing_messages(monkeypatch) as messages:
            assert await run_together(connection, [nothing, one, nothing, two]) == [[], [(1,)], [], [(2,)]]
            assert await run_together(connection, [nothing]) == [[]]
    assert len(messages) == 1


async def test_a_message_that_ends_with_the_commit_ends_the_transaction(system: System) -> None:
    async def fail() -> None:
        async with system.database.transaction(Scope.ALL) as session:
            await run_together(connection_of(session), [insert_all(3)], after=COMMIT)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await count_customers(system) == 1


async def test_what_fails_within_a_message_leaves_nothing_of_it(system: System) -> None:
    with pytest.raises(UniqueViolation):
        async with system.database.transaction_with([insert_all(1), insert_all(1)], Scope.ALL, limits=TimeLimits(1)):
            pass
    assert await count_customers(system) == 0


async def test_an_inserted_row_has_the_types_of_its_columns_and_null_for_what_is_missing(system: System) -> None:
    async with system.database.transaction_with([insert_all(7)], Scope.ALL, limits=TimeLimits(1)) as (session, _rows):
        assert (await session.get_one(Customer, "cus_7")).created_at == START


@pytest.mark.parametrize("how", ["whole", "savepoint", "closed"])
async def test_what_was_prepared_before_something_was_rolled_back_is_prepared_again(system: System, how: str) -> None:
    """A past fault: psycopg drops all prepared statements of a connection whenever it rolls back."""

    async def fail() -> None:
        async with system.database.transaction(Scope.ALL) as session:
            await execute_each(connection_of(session), INSERT, [row(number) for number in range(8)])
            await run_together(connection_of(session), [Command(COUNT)])
            if how == "savepoint":
                await (await session.begin_nested()).rollback()
            if how == "whole":
                await session.execute(select(Customer))
                await session.rollback()
            else:
                raise RuntimeError

    with suppress(RuntimeError):
        await fail()
    async with system.database.transaction_with([Command(COUNT)], Scope.ALL, limits=TimeLimits(1)) as (_session, rows):
        assert rows == [[(0,)]]


def test_a_row_made_past_the_session_has_its_defaults_and_is_written_whole() -> None:
    made = RowFormat(Queue).make(name="night", priority=3)
    assert (made.name, made.priority, made.customer_id) == ("night", 3, None)
    assert RowFormat(Queue).write(made).keys() == {column.key for column in Queue.__table__.columns}
    with pytest.raises(AssertionError, match="own columns"):
        RowFormat(Queue).make(nobody="knows it")


@pytest.mark.parametrize(("least", "most", "holds"), [(0, 5, True), (4, 5, False), (0, 2, False), (4, 2, False)])
async def test_what_several_require_is_one_statement_that_ends_its_message_where_one_does_not_hold(
    system: System, least: int, most: int, *, holds: bool
) -> None:
    number = bindparam("number", type_=BigInteger)
    above, below = (
        require(each)
        for each in (number >= bindparam("least", type_=BigInteger), number <= bindparam("most", type_=BigInteger))
    )
    command = require_all([Command(above, {"number": 3, "least": least}), Command(below, {"number": 3, "most": most})])
    async with system.database.transaction(Scope.ALL) as session:
        if holds:
            assert len(await run_together(connection_of(session), [command])) == 1
        else:
            with pytest.raises(AssertFailure):
                await run_together(connection_of(session), [command])


def test_two_that_require_something_call_nothing_alike_that_differs() -> None:
    some = require(bindparam("number", type_=BigInteger) > 0)
    with pytest.raises(AssertionError, match="name number"):
        require_all([Command(some, {"number": 3}), Command(some, {"number": 4})])


MOMENT = Statement(select(bindparam("moment", type_=DateTime(timezone=True))))


@given(moment=datetimes(timezones=timezones()))
def test_a_moment_is_written_as_the_driver_writes_it(moment: datetime) -> None:
    no_driver = cast("Any", None)  # a text alone asks it how it is written
    written = MOMENT.write_execute({"moment": moment}, no_driver)
    assert written == f"EXECUTE {MOMENT.prepared_as} ({sql.Literal(moment).as_string()})".encode()


def test_rows_are_written_with_every_value_that_a_column_may_have() -> None:
    plain = {"price": Decimal("0.10"), "at": START, "kind": GrantStatus.ACTIVE, "said": 'ja\x1e"', "null": None}
    assert json.loads(write_rows([plain])) == [plain | {"price": "0.10", "at": START.isoformat(), "kind": "active"}]
    odd = {"named": {"a"}, "huge": 2**70}
    assert json.loads(write_rows([odd])) == [{"named": ["a"], "huge": 2**70}]

"""The database layer: a role that cannot bypass the policies, and transactions that are whole."""

import asyncio
import threading
import time
from dataclasses import replace
from functools import partial

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.config import Settings
from broker.persistence.database import (
    WAKE_CHANNEL,
    Database,
    Scope,
    TimeLimits,
    UnsafeDatabaseRole,
    compute,
    open_database,
    take_turn,
    wake_dispatcher,
)
from broker.persistence.driver import Command, Statement, run_together
from broker.persistence.faults import Fault, find_fault
from broker.persistence.pool import with_driver, without_driver
from broker.processes.boot import DatabaseUrls
from broker.processes.serve import prepared_daemon
from broker.system import System
from tests.broker.rows import owner_connection
from tests.broker.waiting import until

INSERT = text("INSERT INTO customers VALUES ('cus_1', 'Acme', now())")


async def test_role_of_the_application_is_taken(system: System) -> None:
    await system.database.check_role()


async def test_superuser_is_refused(urls: DatabaseUrls) -> None:
    assert urls.owner is not None
    database = open_database(urls.owner)
    with pytest.raises(UnsafeDatabaseRole, match="'postgres', which bypasses row-level security"):
        await database.check_role()
    await database.close()


async def test_role_that_may_bypass_row_level_security_is_refused(urls: DatabaseUrls) -> None:
    with owner_connection(urls) as connection:
        connection.execute("CREATE ROLE bypassing LOGIN BYPASSRLS")
    try:
        database = open_database(urls.app.replace("broker_app", "bypassing", 1))
        with pytest.raises(UnsafeDatabaseRole, match="bypassing"):
            await database.check_role()
        await database.close()
    finally:
        with owner_connection(urls) as connection:
            connection.execute("DROP ROLE bypassing")


async def test_nothing_is_served_as_a_superuser(settings: Settings, urls: DatabaseUrls) -> None:
    assert urls.owner is not None
    with pytest.raises(UnsafeDatabaseRole):
        async with prepared_daemon(settings, replace(urls, app=urls.owner)):
            pytest.fail("it started")


async def count_customers(system: System) -> int:
    return await count_customers_in(system.database)


async def count_customers_in(database: Database) -> int:
    async with database.transaction(Scope.ALL) as session:
        return int((await session.execute(text("SELECT count(*) FROM customers"))).scalar_one())


async def test_transaction_is_committed_when_its_block_ends(system: System) -> None:
    async with system.database.transaction(Scope.ALL) as session:
        await session.execute(INSERT)
    assert await count_customers(system) == 1


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
async def test_transaction_is_rolled_back_when_its_block_raises(system: System, error: type[BaseException]) -> None:
    async def fail() -> None:
        async with system.database.transaction(Scope.ALL) as session:
            await session.execute(INSERT)
            raise error

    with pytest.raises(error):
        await fail()
    assert await count_customers(system) == 0


async def test_reading_sees_the_rows_of_its_scope_and_the_scope_ends_with_its_message(system: System) -> None:
    async with system.database.transaction(Scope.ALL) as session:
        await session.execute(INSERT)
        await session.execute(text("INSERT INTO customers VALUES ('cus_2', 'Bolt', now())"))
    seen = Command(Statement(text("SELECT id FROM customers")))
    rows = await system.database.read([seen, seen], Scope.TENANT, "cus_1", limits=TimeLimits(1, 1))
    assert rows == [[("cus_1",)], [("cus_1",)]]
    async with system.database.open_unscoped() as session:
        assert (await session.execute(text("SELECT count(*) FROM customers"))).scalar_one() == 0
        assert (await session.execute(text("SELECT count(*) FROM rate_cards"))).scalar_one() > 0
    assert await count_customers(system) == 2


async def test_reading_refuses_to_write_and_leaves_a_connection_that_works(system: System) -> None:
    writes = Command(Statement(INSERT))
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await system.database.read([writes], Scope.ALL, limits=TimeLimits())
    assert await count_customers(system) == 0


async def is_asleep(urls: DatabaseUrls) -> bool:
    """Tell whether a connection to the same database is in `pg_sleep`."""
    query = b"SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    async with await psycopg.AsyncConnection.connect(urls.app, autocommit=True) as watch:
        return await (await watch.execute(query)).fetchone() is not None


async def test_questions_leave_their_connections_to_others_whatever_becomes_of_them(urls: DatabaseUrls) -> None:
    """One connection answers all of these, one after the other."""
    database = open_database(urls.app, pool_size=1, wait_seconds=5)
    limits = TimeLimits(1, 0.1)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await database.read([Command(Statement(text("SELECT 1 / 0")))], Scope.ALL, limits=limits)
    with pytest.raises(OperationalError):
        await database.read([Command(Statement(text("SELECT pg_sleep(600)")))], Scope.ALL, limits=limits)
    waiting = asyncio.ensure_future(database.fetch_rows(Statement(text("SELECT pg_sleep(600)")), {}))
    await until(partial(is_asleep, urls))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await database.fetch_rows(Statement(text("SELECT 1")), {}) == [(1,)]
    again = Command(Statement(text("SELECT 2")))
    for _ in range(8):  # a statement that comes so often is prepared by the driver, and a message of several cannot be
        assert await database.read([again], Scope.ALL, limits=limits) == [[(2,)]]
    await database.close()


async def test_a_question_finds_another_connection_where_its_own_is_dead(urls: DatabaseUrls) -> None:
    database = open_database(urls.app, pool_size=1, wait_seconds=5)
    (pid,) = (await database.fetch_rows(Statement(text("SELECT pg_backend_pid()")), {}))[0]
    with psycopg.connect(str(urls.owner), autocommit=True) as owner:
        owner.execute("SELECT pg_terminate_backend(%s)", [pid])
    assert await database.fetch_rows(Statement(text("SELECT 1")), {}) == [(1,)]
    await database.close()


async def test_whatever_is_asked_of_a_connection_that_died_says_so(system: System) -> None:
    """A past fault, found by a soak: what went on after a passed-over failure was told as a mistake of our own."""
    ask = Command(Statement(text("SELECT pg_terminate_backend(pg_backend_pid())")))

    async def go_on() -> None:
        async with system.database.transaction(Scope.ALL) as session:
            assert isinstance(session.bind, AsyncConnection)
            with pytest.raises(OperationalError):
                await run_together(session.bind, [ask])
            await run_together(session.bind, [ask])

    with pytest.raises(OperationalError) as last:
        await go_on()
    assert find_fault(last.value) == Fault.AWAY


async def test_a_transaction_that_is_left_open_is_rolled_back_before_the_next(urls: DatabaseUrls) -> None:
    database = open_database(urls.app, pool_size=1)
    async with database.engine.connect() as connection:
        await run_together(connection, [], before=b"BEGIN; SET LOCAL broker.scope TO 'all'")
        await connection.execute(INSERT)
    scope = Statement(text("SELECT coalesce(current_setting('broker.scope', true), '')"))
    assert await database.fetch_rows(scope, {}) == [("",)]
    assert await count_customers_in(database) == 0
    await database.close()


async def test_dispatcher_is_woken_by_the_commit_and_not_before(system: System, urls: DatabaseUrls) -> None:
    async with await psycopg.AsyncConnection.connect(urls.app, autocommit=True) as listener:
        await listener.execute(f"LISTEN {WAKE_CHANNEL}".encode())
        async with system.database.transaction(Scope.ALL) as session:
            await wake_dispatcher(session)
            assert [notify async for notify in listener.notifies(timeout=0.2)] == []
        heard = [notify.channel async for notify in listener.notifies(timeout=5, stop_after=1)]
    assert heard == [WAKE_CHANNEL]


async def test_statement_that_takes_longer_than_its_limit_is_ended(system: System) -> None:
    with pytest.raises(OperationalError) as caught:
        async with system.database.transaction(Scope.ALL, limits=TimeLimits(statement_seconds=0.05)) as session:
            await session.execute(text("SELECT pg_sleep(600)"))
    assert find_fault(caught.value) is Fault.TOO_SLOW


async def test_lock_is_waited_for_no_longer_than_its_limit(system: System) -> None:
    lock = text("SELECT pg_advisory_xact_lock(7)")
    async with system.database.transaction(Scope.ALL) as holder:
        await holder.execute(lock)
        with pytest.raises(OperationalError) as caught:
            async with system.database.transaction(Scope.ALL, limits=TimeLimits(lock_seconds=0.05)) as session:
                await session.execute(lock)
    assert find_fault(caught.value) is Fault.BUSY


async def test_turn_of_processes_is_waited_for_without_an_end_and_locks_are_not_from_then_on(system: System) -> None:
    """A cycle of another process may take longer than any request waits for a lock."""
    limits, order = TimeLimits(lock_seconds=0.05), []

    async def follow() -> None:
        async with system.database.transaction(Scope.ALL, limits=limits) as session:
            connection = await session.connection()
            await take_turn(connection, 7, limits=limits)
            order.append("second")
            assert await session.scalar(text("SHOW lock_timeout")) == "50ms"

    async with system.database.transaction(Scope.ALL) as first:
        await take_turn(await first.connection(), 7, limits=limits)
        waiting = asyncio.create_task(follow())
        await asyncio.sleep(0.2)
        order.append("first")
    await waiting
    assert order == ["first", "second"]


async def test_who_stands_still_in_its_turn_loses_it(system: System, urls: DatabaseUrls) -> None:
    """A past fault, found by stopping leaders: one that stood still in a cycle kept all others from planning."""
    frozen = open_database(urls.app, idle_seconds=0.1)

    async def stand_still() -> None:
        async with frozen.transaction(Scope.ALL) as session:
            assert isinstance(session.bind, AsyncConnection)
            await take_turn(session.bind, 7, limits=TimeLimits(lock_seconds=5))
            async with system.work() as other:  # meanwhile it asks for nothing; the other waits for as long as it takes
                await other.take_turn(7)
            await session.execute(text("SELECT 1"))

    with pytest.raises(InternalError) as lost:
        await stand_still()
    assert find_fault(lost.value) == Fault.BUSY
    async with frozen.transaction(Scope.ALL) as session:
        assert await session.scalar(text("SELECT 1")) == 1, "it finds another connection"
    await frozen.close()


async def test_who_computes_for_long_keeps_its_transaction(urls: DatabaseUrls) -> None:
    database = open_database(urls.app, idle_seconds=1)

    def plan() -> str:
        time.sleep(1.3)  # it computes for longer than PostgreSQL waits for one who asks for nothing
        return "planned"

    async with database.transaction(Scope.ALL) as session:
        assert isinstance(session.bind, AsyncConnection)
        assert await compute(session.bind, plan, every_seconds=0.1) == "planned"
        assert await session.scalar(text("SELECT 1")) == 1
    await database.close()


async def test_what_is_computed_for_a_connection_that_died_is_over_before_that_is_told(urls: DatabaseUrls) -> None:
    database, over = open_database(urls.app), threading.Event()

    def plan(connection: AsyncConnection) -> None:
        while not connection.invalidated:
            time.sleep(0.01)
        over.set()

    async def die() -> None:
        async with database.transaction(Scope.ALL) as session:
            assert isinstance(session.bind, AsyncConnection)
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
            with owner_connection(urls) as owner:
                owner.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
            await compute(session.bind, partial(plan, session.bind), every_seconds=0)

    with pytest.raises(OperationalError):
        await die()
    assert over.is_set()
    await database.close()


async def test_a_connection_that_died_unnoticed_goes_back_without_a_word(
    urls: DatabaseUrls, caplog: pytest.LogCaptureFixture
) -> None:
    """A past fault, found by stopping leaders: the log told it with a traceback, as a mistake of our own."""
    database = open_database(urls.app)

    async def give_up() -> None:
        async with database.transaction(Scope.ALL) as session:
            assert isinstance(session.bind, AsyncConnection)
            asked = Command(Statement(text("SELECT pg_backend_pid()")), {})
            (((pid,),),) = await run_together(session.bind, [asked])
            with owner_connection(urls) as owner:
                owner.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
            raise KeyError("what is looked for")

    with pytest.raises(KeyError):
        await give_up()
    assert [record.message for record in caplog.records if record.exc_info] == []
    async with database.transaction(Scope.ALL) as session:
        assert await session.scalar(text("SELECT 1")) == 1
    await database.close()


async def test_a_turn_that_was_lost_unnoticed_goes_back_without_a_word(
    system: System, urls: DatabaseUrls, caplog: pytest.LogCaptureFixture
) -> None:
    """A past fault: what PostgreSQL says of it is another kind of error than that of other dead connections."""
    frozen = open_database(urls.app, idle_seconds=0.1)

    async def give_up() -> None:
        async with frozen.transaction(Scope.ALL) as session:
            assert isinstance(session.bind, AsyncConnection)
            await take_turn(session.bind, 7, limits=TimeLimits(lock_seconds=5))
            async with system.work() as other:
                await other.take_turn(7)
            raise KeyError("what is looked for")

    with pytest.raises(KeyError):
        await give_up()
    assert [record.message for record in caplog.records if record.exc_info] == []
    await frozen.close()


@pytest.mark.parametrize("query", ["", "?options=-c%20statement_timeout%3D7000"])
async def test_options_of_the_url_count_beside_our_own(urls: DatabaseUrls, query: str) -> None:
    url = f"{urls.app}{query.replace('?', '&') if '?' in urls.app else query}"
    database = open_database(url)
    async with database.transaction(Scope.ALL) as session:
        assert await session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
    await database.close()


def test_urls_are_those_of_the_driver_and_back() -> None:
    url = "postgresql://broker_app:p%40ss@/broker?host=%2Frun%2Fpg"
    assert with_driver(url).startswith("postgresql+psycopg://broker_app:p%40ss@")
    assert psycopg.conninfo.conninfo_to_dict(without_driver(with_driver(url))) == psycopg.conninfo.conninfo_to_dict(url)

"""A turn that processes take one after the other is a courtesy: who has none goes on without it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from broker.persistence.database import UNLIMITED, Scope, open_database
from broker.persistence.shared_turn import SharedTurn
from broker.processes.boot import DatabaseUrls
from broker.system import System

LOCK = 17


@pytest.fixture
async def mine(system: System) -> SharedTurn:
    return SharedTurn(system.database, LOCK)


@pytest.fixture
async def others(urls: DatabaseUrls) -> AsyncIterator[SharedTurn]:
    """Make the turn of another process."""
    database = open_database(urls.app)
    yield SharedTurn(database, LOCK)
    await database.close()


async def test_a_batch_of_another_process_waits_until_the_turn_has_ended(mine: SharedTurn, others: SharedTurn) -> None:
    others.longest_seconds = 600
    order: list[str] = []
    begun = asyncio.Event()

    async def take(turn: SharedTurn, name: str) -> None:
        async with turn.take():
            order.append(f"{name} began")
            begun.set()
            await asyncio.sleep(0.05)
            order.append(f"{name} ended")

    first = asyncio.create_task(take(mine, "mine"))
    await begun.wait()
    await asyncio.gather(first, take(others, "other's"))
    assert order == ["mine began", "mine ended", "other's began", "other's ended"]


async def test_a_turn_that_does_not_come_is_not_waited_for(mine: SharedTurn, others: SharedTurn) -> None:
    others.longest_seconds = 0.01
    async with mine.take(), others.take():
        pass
    async with others.take():
        pass


async def test_a_turn_is_done_without_where_the_database_is_away() -> None:
    nowhere = SharedTurn(open_database("postgresql://nobody@127.0.0.1:1/none"), LOCK)
    decided = []
    async with nowhere.take():
        decided.append("all the same")
    assert decided


async def test_a_turn_ends_with_the_commit_of_the_transaction_that_is_begun_in_it(
    system: System, mine: SharedTurn, others: SharedTurn
) -> None:
    others.longest_seconds = 600
    async with mine.take():
        deciding = system.database.transaction_with((), Scope.ALL, limits=UNLIMITED, turn=mine.begun)
        async with deciding as (session, _rows):
            assert await session.scalar(text("SELECT current_setting('broker.scope')")) == "all"
        async with others.take():
            assert others.begun is not None


async def test_a_batch_whose_turn_did_not_come_has_a_transaction_all_the_same(
    mine: SharedTurn, others: SharedTurn, system: System
) -> None:
    others.longest_seconds = 0.01
    async with (
        mine.take(),
        others.take(),
        system.database.transaction_with((), Scope.ALL, limits=UNLIMITED, turn=others.begun) as (session, _rows),
    ):
        assert await session.scalar(text("SELECT 1")) == 1

"""Who the bearer of a token is: looked up in a scope that ends with the look-up, over a connection that is alive."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from broker import errors
from broker.config import Settings
from broker.identity.bearers import FIND_KEYS, Bearers
from broker.identity.model import hash_key
from broker.persistence.database import Scope
from broker.persistence.driver import fetch_all
from broker.processes.boot import DatabaseUrls
from broker.system import System
from broker.work import Actor, Role
from tests.broker.rows import owner_connection

SEEN = text("SELECT current_setting('broker.scope'), count(*) FROM api_keys")


@pytest.fixture
def admin_key(settings: Settings, system: System) -> str:
    return settings.admin_key_path.read_text().strip()


async def test_look_up_of_a_key_ends_its_scope(system: System, admin_key: str) -> None:
    """A customer's transaction sees no key of the staff, neither before nor after it."""
    async with system.database.transaction(Scope.TENANT, "cus_nobody") as session:
        before = (await session.execute(SEEN)).one()
        connection = session.bind
        assert isinstance(connection, AsyncConnection)
        assert len(await fetch_all(connection, FIND_KEYS, {"key_hashes": [hash_key(admin_key)]})) == 1
        after = (await session.execute(SEEN)).one()
    assert tuple(before) == tuple(after) == ("tenant", 0)


async def test_bearer_of_a_key_is_known_after_the_connections_have_died(
    system: System, admin_key: str, urls: DatabaseUrls
) -> None:
    for _ in range(2):
        actor = await Bearers(system.database, system.services).authenticate(admin_key)
        assert (actor.role, actor.customer_id) == (Role.ADMIN, None)
        with owner_connection(urls) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'broker_app'")
    async with system.work() as work:
        assert await work.session.scalar(text("SELECT count(*) FROM api_keys")) == 1


@pytest.mark.parametrize("token", ["", "lbk_00000000_unknown", "lbr.run_1.forged", "'; --"])
async def test_unknown_token_is_nobodys(system: System, token: str) -> None:
    with pytest.raises(errors.Unauthenticated):
        await Bearers(system.database, system.services).authenticate(token)


async def test_keys_asked_for_at_one_moment_are_looked_up_together_and_each_has_its_own_bearer(
    system: System, admin_key: str
) -> None:
    bearers = Bearers(system.database, system.services)
    tokens = [admin_key, "lbk_00000000_unknown", admin_key]
    asked = [asyncio.create_task(bearers.authenticate(token)) for token in tokens]
    first, unknown, second = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(unknown, errors.Unauthenticated)
    assert isinstance(first, Actor)
    assert (first, first.role) == (second, Role.ADMIN)

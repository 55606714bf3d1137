"""Requests of a key in a minute: how many pass, what one costs, and what its answers tell."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import pytest
from limits import RateLimitItemPerMinute
from limits.aio.strategies import FixedWindowRateLimiter

from broker import errors
from broker.config import Settings
from broker.http.rate_limits import RateLimits
from broker.http.request_counts import RequestCounts, forget_old_counts
from broker.processes.boot import DatabaseUrls
from broker.system import System, open_system
from broker.work import Actor, Role
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_customer
from tests.broker.forked import FORKING, ForkedProcess
from tests.broker.messages import listing_messages
from tests.broker.rows import owner_connection

KEY = Actor(Role.CUSTOMER, "key_1", "cus_1")


def make_limits(system: System, limit: int | None) -> RateLimits:
    async def find_limit(_actor: Actor) -> int | None:
        return limit

    return RateLimits(system.database, system.services, find_limit)


async def count_admitted(limits: RateLimits, asks: int) -> int:
    """Count how many of so many requests, a few at one time, are admitted."""
    admitted = 0
    for _ in range(asks // 4):
        answers = await asyncio.gather(*(limits.admit(KEY) for _ in range(4)), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert all(isinstance(answer, errors.RateLimited) for answer in refused)
        admitted += len(answers) - len(refused)
    return admitted


@pytest.mark.parametrize("limit", [1, 7, 20, 99])
async def test_one_process_admits_exactly_its_limit_and_again_in_the_next_window(
    system: System, clock: ManualClock, limit: int
) -> None:
    limits = make_limits(system, limit)
    for _ in range(2):
        assert await count_admitted(limits, 2 * limit + 40) == limit
        clock.advance(seconds=60)


def ask_limits(url: str, limit: int, asks: int, starter: Connection) -> None:
    """Ask as many requests at once with two others, and tell how many were admitted."""

    async def ask() -> int:
        settings = Settings(data_dir=Path("/nowhere"), secret_key="0123456789abcdef")
        system = open_system(settings, url, clock=ManualClock())
        limits = make_limits(system, limit)
        starter.send("ready")
        starter.recv()
        admitted = await count_admitted(limits, asks)
        await system.database.close()
        return admitted

    starter.send(asyncio.run(ask()))


@asynccontextmanager
async def several(settings: Settings, urls: DatabaseUrls, clock: ManualClock) -> AsyncIterator[list[RateLimits]]:
    """Open three brokers with pools of their own on one database."""
    async with AsyncExitStack() as stack:
        systems = [open_system(settings, urls.app, clock=clock) for _ in range(3)]
        for each in systems:
            stack.push_async_callback(each.database.close)
        yield [make_limits(each, 100) for each in systems]


async def test_several_processes_are_within_the_bound_in_turn_and_at_once(
    settings: Settings, urls: DatabaseUrls, clock: ManualClock
) -> None:
    async with several(settings, urls, clock) as processes:
        at_once = await asyncio.gather(*(count_admitted(each, 100) for each in processes))
        assert 100 <= sum(at_once) <= 100 + 2 * 5
        clock.advance(seconds=60)
        in_turn = [await count_admitted(each, 100) for each in processes]
        assert 100 <= sum(in_turn) <= 100 + 2 * 5


async def test_what_others_have_leased_and_left_is_all_that_is_refused_too_early(
    settings: Settings, urls: DatabaseUrls, clock: ManualClock
) -> None:
    """Two processes take one request each, and sit on what else they have leased."""
    async with several(settings, urls, clock) as (first, second, third):
        for idle in (first, second):
            await idle.admit(KEY)
            await asyncio.gather(*(window.lease for window in idle.windows.values() if window.lease is not None))
        admitted = await count_admitted(third, 120)
    assert 100 - 2 * 5 <= admitted + 2 <= 100


@pytest.mark.slow  # three processes of their own: each imports the broker
async def test_real_processes_are_within_the_bound(urls: DatabaseUrls) -> None:
    limit, asks = 200, 200
    pipes = [FORKING.Pipe() for _ in range(3)]
    processes = [ForkedProcess(ask_limits, urls.app, limit, asks, theirs) for _ours, theirs in pipes]
    assert [ours.recv() for ours, _theirs in pipes] == ["ready"] * 3
    for ours, _theirs in pipes:
        ours.send("go")
    admitted = sum([ours.recv() for ours, _theirs in pipes])
    assert limit <= admitted <= limit + 2 * 10
    assert [process.wait() for process in processes] == [0] * 3


async def test_a_request_costs_no_message_to_the_database(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand of them cost one for each batch."""
    limits = make_limits(system, 100_000)
    async with system.work() as work:
        await work.session.connection()  # the first one of a pool asks what the server is
    with listing_messages(monkeypatch) as messages:
        for _ in range(1000):
            await limits.admit(KEY)
        lease = limits.windows[KEY.id].lease
        if lease is not None:
            await lease
    assert len(messages) <= 2


async def test_a_database_that_is_away_refuses_nobody(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = make_limits(system, 10)

    async def fail(*_: object) -> None:
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(limits.counts, "count", fail)
    assert await count_admitted(limits, 12) == 12


async def test_counters_serve_the_strategies_of_the_library(system: System, clock: ManualClock) -> None:
    counts = RequestCounts(system.database, system.services.clock)
    strategy, item = FixedWindowRateLimiter(counts), RateLimitItemPerMinute(3)
    assert await counts.check()
    assert [await strategy.hit(item, "a") for _ in range(4)] == [True, True, True, False]
    assert await strategy.hit(item, "b")
    assert (await strategy.get_window_stats(item, "b")) == (clock.now.timestamp() + 60, 2)
    await counts.clear(item.key_for("a"))
    assert await strategy.test(item, "a", cost=3)
    clock.advance(seconds=60)
    assert (await strategy.get_window_stats(item, "b")).remaining == 3
    async with system.work() as work:
        clock.advance(seconds=1)
        assert await forget_old_counts(work) == 1
    await strategy.hit(item, "c")
    assert await counts.reset() == 1


async def test_answers_tell_what_is_left_and_a_refusal_when_to_come_again(api: Api, clock: ManualClock) -> None:
    customer = await make_customer(api)
    made = await api.post(f"/customers/{customer['id']}/api-keys", {"name": "ci"}, expect=201)
    limited = (await api.call("PATCH", f"/api-keys/{made['id']}", expect=200, json={"requests_per_minute": 3})).json()
    assert limited["requests_per_minute"] == 3
    async with Api.connect(api.app, made["key"]) as own:
        first = await own.call("GET", "/whoami", expect=200)
        assert first.headers["RateLimit"] == '"key";r=2;t=60'
        clock.advance(seconds=20)
        second = await own.call("GET", "/nothing-here", expect=404)
        assert "RateLimit" not in second.headers  # no route, no key was asked for
        third = await own.call("GET", "/jobs/job_none", expect=404)
        assert third.headers["RateLimit-Policy"] == '"key";q=3;w=60'
        assert third.headers["RateLimit"] == '"key";r=1;t=40'
        await own.call("POST", "/jobs", expect=422, json={"config": {}})
        refused = await own.call("GET", "/whoami", expect=429)
        assert refused.headers["Retry-After"] == "40"
        assert refused.headers["RateLimit"] == '"key";r=0;t=40'
        assert refused.headers["Content-Type"] == "application/problem+json"
        told = refused.json()
        assert (told["type"], told["limit"], told["retry_after_seconds"]) == ("/problems/rate-limited", 3, 40)
        clock.advance(seconds=40)
        await own.call("GET", "/whoami", expect=200)
    async with Api.connect(api.app, made["key"]) as other:
        assert (await other.call("GET", "/whoami")).headers["RateLimit"].startswith('"key";r=1;')


async def test_limit_of_a_customer_is_of_each_of_its_keys_unless_one_has_its_own(api: Api, settings: Settings) -> None:
    customer = await make_customer(api)
    keys = [await api.post(f"/customers/{customer['id']}/api-keys", {"name": "k"}, expect=201) for _ in range(2)]
    path = f"/customers/{customer['id']}"
    changed = (await api.call("PATCH", path, expect=200, json={"requests_per_minute": 40})).json()
    assert changed["requests_per_minute"] == 40
    await api.call("PATCH", f"/api-keys/{keys[1]['id']}", expect=200, json={"requests_per_minute": 0})
    for made, told in ((keys[0], '"key";q=40;w=60'), (keys[1], None)):
        async with Api.connect(api.app, made["key"]) as own:
            assert (await own.call("GET", "/whoami")).headers.get("RateLimit-Policy") == told
    entries = (await api.get("/audit"))["data"]
    assert [entry["action"] for entry in entries[:2]] == ["change_key_limit", "change_customer_limit"]
    await api.post(f"/audit/{entries[1]['id']}/undo")
    assert (await api.get(path))["requests_per_minute"] is None
    await api.post(f"/audit/{entries[0]['id']}/undo")
    await api.call("DELETE", f"/api-keys/{keys[1]['id']}", expect=200)
    await api.call("PATCH", f"/api-keys/{keys[1]['id']}", expect=409, json={"requests_per_minute": 5})


async def test_a_new_limit_holds_from_the_next_window_on(api: Api, clock: ManualClock) -> None:
    customer = await make_customer(api)
    made = await api.post(f"/customers/{customer['id']}/api-keys", {"name": "k"}, expect=201)
    async with Api.connect(api.app, made["key"]) as own:
        assert (await own.call("GET", "/whoami")).headers["RateLimit-Policy"] == '"key";q=6000;w=60'
        await api.call("PATCH", f"/api-keys/{made['id']}", expect=200, json={"requests_per_minute": 2})
        assert (await own.call("GET", "/whoami")).headers["RateLimit-Policy"] == '"key";q=6000;w=60'
        clock.advance(seconds=60)
        await own.call("GET", "/whoami")
        lease = api.app.state.rate_limits.windows[made["id"]].lease
        if lease is not None:
            await lease
        assert (await own.call("GET", "/whoami")).headers["RateLimit-Policy"] == '"key";q=2;w=60'
        await own.get("/whoami", expect=429)


async def test_staff_has_no_limit_of_itself(api: Api) -> None:
    assert "RateLimit" not in (await api.call("GET", "/whoami", expect=200)).headers


def test_counts_are_not_logged(urls: DatabaseUrls) -> None:
    with owner_connection(urls) as connection:
        kind = connection.execute("SELECT relpersistence FROM pg_class WHERE relname = 'request_counts'").fetchone()
    assert kind == {"relpersistence": "u"}

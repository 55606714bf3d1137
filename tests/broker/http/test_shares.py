"""Connections shared out: one tenant's requests that wait hold up nobody else's, nor heartbeats, nor health."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import httpx2 as httpx
import psycopg
import pytest
from fastapi import FastAPI

from broker import errors
from broker.config import Settings
from broker.contracts import service as contracts
from broker.http.shares import Shares, Turnstile, share_out
from broker.processes.boot import DatabaseUrls
from broker.system import System
from broker.work import Actor, Role, Work
from tests.broker.factories import CONFIG, Api, Customer, customer_api, make_ready_customer, submit_job
from tests.broker.running_jobs import broken_rules
from tests.broker.waiting import until
from tests.broker.worker_calls import Worker, dispatched_worker

REQUESTS = 24
COUNT_WAITING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Nobody gives up by the clock, unless the test says so."""
    return Settings(data_dir=tmp_path_factory.mktemp("data"), local_slots=0, lock_seconds=600, turn_seconds=600)


@contextmanager
def locked_contract(urls: DatabaseUrls, contract_id: str) -> Iterator[psycopg.Connection]:
    """Hold a contract's lock for as long as the block lasts, as a transaction does that does not come to its end."""
    with psycopg.connect(urls.owner or "") as holder:
        holder.execute("SELECT 1 FROM contracts WHERE id = %s FOR UPDATE", [contract_id])
        yield holder


@asynccontextmanager
async def crowd(own: Api, customer: Customer, urls: DatabaseUrls, size: int) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Send at once what has to wait for one contract's lock; the block runs while as many wait as ever will.

    They cancel one job: submissions are decided in batches, and of a whole crowd of them one connection waits.
    """
    job = await submit_job(own, customer.dataset["id"], contract_id=customer.contract["id"])
    with locked_contract(urls, customer.contract["id"]):
        requests = [asyncio.create_task(own.call("POST", f"/jobs/{job['id']}/cancel")) for _ in range(size)]
        with psycopg.connect(urls.owner or "", autocommit=True) as watch:
            share = min(size, share_out(20).tenant)
            await until(lambda: watch.execute(COUNT_WAITING).fetchone() == (share,))
            yield requests


@pytest.fixture
async def crowded(api: Api) -> Customer:
    return await make_ready_customer(api)


@pytest.mark.parametrize(
    ("connections", "shares"),
    [
        (20, Shares(tenant=5, requests=17, tenant_runs=2, everybody=19)),
        (10, Shares(tenant=2, requests=7, tenant_runs=2, everybody=9)),
        (5, Shares(tenant=1, requests=3, tenant_runs=1, everybody=4)),
        (2, Shares(tenant=1, requests=2, tenant_runs=1, everybody=1)),
    ],
)
def test_a_tenant_has_a_quarter_and_three_connections_are_kept(connections: int, shares: Shares) -> None:
    assert share_out(connections) == shares


async def test_requests_that_wait_for_one_contract_keep_nobody_else_out(
    api: Api, app: FastAPI, system: System, urls: DatabaseUrls, crowded: Customer
) -> None:
    """A past fault: 24 of them took every connection, and every other tenant got 503 after half a minute."""
    other = await make_ready_customer(api)
    job = await submit_job(api, other.dataset["id"], customer_id=other.id)
    async with (
        customer_api(api, crowded.id) as busy,
        customer_api(api, other.id) as own,
        dispatched_worker(api, app, system, job["id"]) as worker,
    ):
        await worker.claim()
        async with crowd(busy, crowded, urls, REQUESTS) as requests:
            await submit_job(own, other.dataset["id"])
            assert (await worker.beat(5))["command"] == "continue"
            assert (await api.http.get("/readyz")).status_code == 200
            assert (await api.get("/customers"))["data"], "staff has a share of its own"
            assert not any(request.done() for request in requests)
        answers = await asyncio.gather(*requests)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [409] * (REQUESTS - 1), "each has its turn once the lock is free"
    assert await broken_rules(system) == {}


async def test_runs_of_a_crowded_tenant_report_on(
    api: Api, app: FastAPI, system: System, urls: DatabaseUrls, crowded: Customer
) -> None:
    """Its run belongs to another contract; that its requests wait must not have it lost."""
    signed = await api.post("/contracts", {"customer_id": crowded.id, "plan": "on_demand"}, expect=201)
    job = await submit_job(api, crowded.dataset["id"], customer_id=crowded.id, contract_id=signed["id"])
    async with customer_api(api, crowded.id) as busy, dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        async with crowd(busy, crowded, urls, REQUESTS) as requests:
            assert (await worker.beat(5))["command"] == "continue"
        answers = await asyncio.gather(*requests)
    assert {answer.status_code for answer in answers} == {200, 409}


async def upload_slowly(
    worker: Worker, step: int, arrived: asyncio.Semaphore, release: asyncio.Event
) -> httpx.Response:
    async def content() -> AsyncIterator[bytes]:
        yield b"a"
        arrived.release()
        await release.wait()
        yield b"b"

    sha256 = "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603"  # of "ab"
    headers = {"X-Fence-Token": str(worker.fence_token), "X-Content-SHA256": sha256}
    path = f"/runs/{worker.run_id}/checkpoints/{step}"
    return await worker.api.call("PUT", path, content=content(), headers=headers)


async def test_slow_uploads_hold_no_connection_and_keep_nobody_out(
    api: Api, app: FastAPI, system: System, crowded: Customer
) -> None:
    """A past fault: each held a transaction, and 22 of them every connection that there was."""
    job = await submit_job(api, crowded.dataset["id"], customer_id=crowded.id)
    arrived, release = asyncio.Semaphore(0), asyncio.Event()
    async with dispatched_worker(api, app, system, job["id"]) as worker, customer_api(api, crowded.id) as own:
        await worker.claim()
        uploads = [asyncio.create_task(upload_slowly(worker, step, arrived, release)) for step in range(22)]
        for _ in uploads:
            await arrived.acquire()
        assert system.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        await submit_job(own, crowded.dataset["id"])
        assert (await worker.beat(5))["command"] == "continue"
        release.set()
        answers = await asyncio.gather(*uploads)
        assert {answer.status_code for answer in answers} == {201}
        kept = await api.get(f"/jobs/{job['id']}/checkpoints")
    assert {checkpoint["step"] for checkpoint in kept["data"]} == set(range(22))


class TestImpatience:
    """Where a wait is bounded, its end is a problem of its own type that says when to try again."""

    @pytest.fixture
    def settings(self, tmp_path_factory: pytest.TempPathFactory) -> Settings:
        return Settings(data_dir=tmp_path_factory.mktemp("data"), local_slots=0, lock_seconds=0.1, turn_seconds=600)

    async def test_lock_that_is_not_given_in_time_is_busy_and_not_a_database_that_is_away(
        self, api: Api, urls: DatabaseUrls, crowded: Customer
    ) -> None:
        with locked_contract(urls, crowded.contract["id"]):
            body = {"config": CONFIG, "dataset_id": crowded.dataset["id"], "customer_id": crowded.id}
            response = await api.call("POST", "/jobs", json=body, expect=503, headers={"Idempotency-Key": "once"})
        assert (response.json()["type"], response.headers["Retry-After"]) == ("/problems/busy", "1")
        again = await api.call("POST", "/jobs", json=body, headers={"Idempotency-Key": "once"}, expect=201)
        assert "Idempotency-Replayed" not in again.headers, "a request that was busy is not done, and its key is free"

    async def test_object_that_is_locked_keeps_no_other_from_the_sweep(
        self, api: Api, system: System, urls: DatabaseUrls, crowded: Customer
    ) -> None:
        other, done = await make_ready_customer(api), []

        async def lock(work: Work, contract_id: str) -> None:
            await contracts.lock_contract(work, contract_id)
            done.append(contract_id)

        with locked_contract(urls, crowded.contract["id"]):
            await system.work_on([crowded.contract["id"], other.contract["id"]], lock)
        assert done == [other.contract["id"]]


@asynccontextmanager
async def staying(turnstile: Turnstile, actors: Iterable[Actor]) -> AsyncIterator[None]:
    """Have a request of each of these actors under way for as long as the block lasts."""
    async with AsyncExitStack() as stack:
        for actor in actors:
            await stack.enter_async_context(turnstile.pass_through(actor))
        yield


def requests_of(tenant: str, count: int) -> list[Actor]:
    return [Actor(Role.CUSTOMER, f"key_of_{tenant}", tenant)] * count


async def test_tenant_beyond_its_share_is_told_that_its_own_requests_are_in_the_way() -> None:
    turnstile = Turnstile(20, wait_seconds=0.01)
    mine = requests_of("cus_1", turnstile.shares.tenant)
    async with staying(turnstile, mine):
        with pytest.raises(errors.TooManyAtOnce, match="send fewer"):
            async with turnstile.pass_through(mine[0]):
                pytest.fail("it had more than its share")
        async with staying(
            turnstile, [*requests_of("cus_2", 1), Actor(Role.ADMIN, "key_3"), Actor(Role.RUN, "r", "cus_1")]
        ):
            pass
    async with turnstile.pass_through(mine[0]):
        pass


async def test_requests_of_all_tenants_leave_the_connections_that_are_kept_for_runs() -> None:
    turnstile = Turnstile(20, wait_seconds=0.01)
    crowd = [actor for number in range(4) for actor in requests_of(f"cus_{number}", turnstile.shares.tenant)]
    async with staying(turnstile, crowd[: turnstile.shares.requests]):
        with pytest.raises(errors.Busy, match="send the request again"):
            async with turnstile.pass_through(Actor(Role.OPS, "key_6")):
                pytest.fail("it had one of the connections that are kept")
        async with staying(turnstile, [Actor(Role.RUN, "run_1", "cus_1"), Actor(Role.RUN, "run_2", "cus_2")]):
            pass
    async with turnstile.pass_through(Actor(Role.OPS, "key_6")):
        pass


async def test_who_came_first_has_the_first_turn_and_who_hangs_up_has_none() -> None:
    turnstile, order = Turnstile(4, wait_seconds=600), []

    async def take_turn(name: str) -> None:
        async with turnstile.pass_through(Actor(Role.CUSTOMER, name, "cus_1")):
            order.append(name)

    async with staying(turnstile, requests_of("cus_1", turnstile.shares.tenant)):
        tasks = [asyncio.create_task(take_turn(name)) for name in ("first", "gone", "last")]
        await asyncio.sleep(0)
        tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["first", "last"]

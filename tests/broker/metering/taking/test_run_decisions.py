"""Intervals of runs in quarantine are judged again: charged once their cause is gone, once, into the right month."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from broker.jobs.running.runs import lose_run
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, amend_contract
from tests.broker.metering.keeping.test_quarantine import Place, open_place
from tests.broker.running_jobs import broken_rules


@pytest.fixture
async def place(api: Api, app: FastAPI, system: System, clock: ManualClock) -> AsyncIterator[Place]:
    async with open_place(api, app, system, clock) as place:
        clock.advance(seconds=10)
        yield place


async def retry(place: Place, *, number: int = 0, expect: int = 200) -> Any:
    """Retry the newest of what is in quarantine, or one before it; tells its status, or the refusal."""
    row = (await place.api.get("/quarantined-usage"))["data"][number]
    answer = (await place.api.call("POST", f"/quarantined-usage/{row['id']}/retry", expect=expect)).json()
    return answer["status"]


async def test_interval_of_a_clock_that_is_ahead_is_charged_once_that_time_has_come(place: Place) -> None:
    ended_at = place.clock.now + timedelta(seconds=60)
    await place.beat(place.event(0, tokens=5, started_at=ended_at - timedelta(seconds=2), ended_at=ended_at))
    assert (await retry(place), await place.used()) == ("open", (0, 0))
    place.clock.advance(seconds=60)
    assert (await retry(place), await place.used()) == ("charged", (2, 5))
    assert (await retry(place, expect=409), await place.used()) == (409, (2, 5))
    answer = await place.beat(place.event(0), place.event(1, tokens=1, seconds=0, gpu_seconds=0))
    assert (answer["acknowledged_sequence"], await place.used()) == (1, (2, 6))


async def test_tokens_are_charged_once_the_run_can_have_trained_them(place: Place) -> None:
    await place.beat(place.event(0, tokens=200_000))
    assert await place.quarantined() == [(0, "more_tokens_than_the_job")]
    assert await retry(place) == "open"
    place.clock.advance(seconds=300)
    assert (await retry(place), await place.used()) == ("charged", (2, 200_000))


async def test_of_two_retries_at_one_moment_one_charges(place: Place) -> None:
    await place.beat(place.event(0, tokens=200_000))
    place.clock.advance(seconds=300)
    row = (await place.api.get("/quarantined-usage"))["data"][0]
    calls = [place.api.call("POST", f"/quarantined-usage/{row['id']}/retry", expect=None) for _ in range(3)]
    assert sorted([answer.status_code for answer in await asyncio.gather(*calls)]) == [200, 409, 409]
    assert await place.used() == (2, 200_000)


async def test_interval_that_nothing_paid_is_charged_once_the_budget_is_raised(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    async with open_place(api, app, system, clock, monthly_budget="1.00") as place:
        clock.advance(hours=1)
        await place.beat(place.event(0, gpu_seconds=3500, seconds=3500, tokens=0))
        late = place.event(1, gpu_seconds=10, seconds=10, tokens=0, started_at=clock.now)
        clock.advance(seconds=10)
        late["data"]["ended_at"] = clock.now.isoformat()
        await api.post(f"/jobs/{place.job_id}/cancel")
        await place.finish(outcome="stopped")
        await place.post(late)
        assert await place.quarantined() == [(1, "over_budget")]
        assert await retry(place) == "open"
        await amend_contract(api, place.customer.contract["id"], monthly_budget="100.00")
        before = await api.get(f"/jobs/{place.job_id}")
        assert await retry(place) == "charged"
        after = await api.get(f"/jobs/{place.job_id}")
        assert after["charged_gpu_seconds"] - before["charged_gpu_seconds"] == 10
        assert await place.used() == (3510, 0)


async def test_interval_of_a_closed_month_is_on_the_next_invoice(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    clock.now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    async with open_place(api, app, system, clock) as place:
        clock.advance(seconds=10)
        await place.beat(place.event(0, gpu_seconds=5, seconds=10, tokens=1_000_000))
        clock.advance(days=5)
        contract = {"contract_id": place.customer.contract["id"]}
        november = await api.post("/invoices", {**contract, "month": "2026-11"}, expect=201)
        await api.post(f"/invoices/{november['id']}/finalize")
        assert (await retry(place), await place.used()) == ("charged", (5, 1_000_000))
        assert await place.months() == {"2026-12"}
        assert (await api.get(f"/invoices/{november['id']}"))["total"]["amount"] == "0.00"
        december = await api.post("/invoices", {**contract, "month": "2026-12"}, expect=201)
        assert december["total"]["amount"] == "120.01"
        assert await broken_rules(system) == {}


async def test_interval_of_a_run_that_was_lost_is_ours(place: Place) -> None:
    await place.beat(place.event(0, tokens=100), place.event(1, tokens=200_000, seconds=0, gpu_seconds=0))
    place.clock.advance(seconds=300)
    async with place.system.work() as work:
        await lose_run(work, place.worker.run_id, "its heartbeats stopped")
    assert (await retry(place), await place.used()) == ("charged", (2, 200_100))
    job = await place.api.get(f"/jobs/{place.job_id}")
    assert (job["charged_tokens"], job["borne_tokens"], job["cost"]["amount"]) == (0, 200_100, "0.00")


async def test_interval_that_is_still_in_doubt_stays_and_can_be_dismissed(place: Place) -> None:
    await place.beat(place.event(0), place.event(1))
    assert await place.quarantined() == [(1, "overlaps")]
    place.clock.advance(hours=1)
    assert await retry(place) == "open"
    row = (await place.api.get("/quarantined-usage"))["data"][0]
    await place.api.post(f"/quarantined-usage/{row['id']}/dismiss", {"reason": "told twice"})
    assert (await retry(place, expect=409), await place.used()) == (409, (2, 100))


async def test_accepted_is_rated_and_quarantined_or_verify_says_so(place: Place) -> None:
    await place.beat(place.event(0), place.event(1))
    assert await broken_rules(place.system) == {}
    async with place.system.work() as work:
        values = "SELECT source, 'x', customer_id, digest, ended_at FROM usage_event_keys LIMIT 1"
        await work.session.execute(text(f"INSERT INTO usage_event_keys {values}"))
    (rule,) = await broken_rules(place.system)
    assert "rated or in quarantine" in rule

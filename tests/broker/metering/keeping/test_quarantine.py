"""Usage that is not believed, or that nothing pays for: kept, told, and charged to nobody, by whatever door."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from broker.jobs.running.runs import lose_run
from broker.ledger.tables import Capture
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, customer_api, make_ready_customer, staff_key, submit_job, usage_event
from tests.broker.running_jobs import broken_rules
from tests.broker.worker_calls import Worker, dispatched_worker

YEAR_2001 = datetime(2001, 3, 1, tzinfo=UTC)


@dataclass
class Place:
    """A run whose worker has claimed it."""

    api: Api
    app: FastAPI
    system: System
    clock: ManualClock
    customer: Customer
    worker: Worker
    job_id: str

    def event(self, sequence: int, *, gpu_seconds: int = 2, seconds: float = 2, **fields: Any) -> Any:
        """Make an interval that ends now and began so many seconds ago."""
        began = self.clock.now - timedelta(seconds=seconds)
        times = {"started_at": began, "ended_at": self.clock.now}
        return usage_event(self.worker.run_id, sequence, **{"gpu_seconds": gpu_seconds, **times, **fields})

    def event_ago(self, sequence: int, *, seconds: float) -> Any:
        """Make an interval of two seconds that ended so many seconds ago."""
        ended_at = self.clock.now - timedelta(seconds=seconds)
        return self.event(sequence, started_at=ended_at - timedelta(seconds=2), ended_at=ended_at)

    async def beat(self, *usage: Any) -> Any:
        return await self.worker.post("heartbeats", usage=list(usage))

    async def post(self, *usage: Any) -> Any:
        headers = {"X-Fence-Token": str(self.worker.fence_token)}
        return (
            await self.worker.api.call("POST", "/usage-events", expect=202, json=list(usage), headers=headers)
        ).json()

    async def finish(self, *usage: Any, outcome: str = "failed") -> Any:
        return await self.worker.finish(outcome, usage=list(usage))

    async def used(self) -> tuple[int, int]:
        job = await self.api.get(f"/jobs/{self.job_id}")
        usage = await self.api.get(f"/jobs/{self.job_id}/usage")
        assert (usage["gpu_seconds"], usage["tokens"]) == (job["used_gpu_seconds"], job["used_tokens"])
        assert await broken_rules(self.system) == {}
        return job["used_gpu_seconds"], job["used_tokens"]

    async def quarantined(self, **chosen: str) -> list[Any]:
        listed = (await self.api.get("/quarantined-usage", **chosen))["data"]
        return [(each["sequence"], each["reason"]) for each in reversed(listed)]

    async def months(self) -> set[str]:
        async with self.system.work() as work:
            return set((await work.session.scalars(select(Capture.month))).all())


@asynccontextmanager
async def open_place(
    api: Api, app: FastAPI, system: System, clock: ManualClock, **contract: Any
) -> AsyncIterator[Place]:
    customer = await make_ready_customer(api, **contract)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        yield Place(api, app, system, clock, customer, worker, job["id"])


@pytest.fixture
async def place(api: Api, app: FastAPI, system: System, clock: ManualClock) -> AsyncIterator[Place]:
    async with open_place(api, app, system, clock) as place:
        yield place


@pytest.mark.parametrize("door", ["beat", "post", "finish"])
async def test_what_is_not_believed_is_kept_told_and_charged_to_nobody(place: Place, door: str) -> None:
    """A billion GPU-seconds on a run that was three seconds old were 1.89 million CNY."""
    place.clock.advance(seconds=3)
    told = await getattr(place, door)(
        place.event(0, gpu_seconds=10**9, seconds=3),
        place.event(1, gpu_seconds=10**9, seconds=700_000_000),
        place.event(2, started_at=YEAR_2001, ended_at=YEAR_2001 + timedelta(seconds=2)),
        place.event(3, tokens=10**12),
        place.event(4, gpu_seconds=2, tokens=100),
    )
    reasons = [(each["sequence"], each["reason"]) for each in told["quarantined"]]
    assert reasons == [
        (0, "longer_than_its_time"),
        (1, "outside_the_run"),
        (2, "outside_the_run"),
        (3, "more_tokens_than_the_job"),
    ]
    assert all(each["message"].endswith(".") for each in told["quarantined"])
    assert await place.used() == (2, 100)
    assert await place.quarantined() == reasons
    assert await place.months() == {"2026-11"}
    assert (await place.api.get(f"/jobs/{place.job_id}/runs"))["data"][0]["used_gpu_seconds"] == 2
    events = (await place.api.get(f"/jobs/{place.job_id}/events"))["data"]
    noted = next(event["data"] for event in events if event["kind"] == "usage_quarantined")
    assert (noted["intervals"], noted["sequences"], noted["reasons"]["outside_the_run"]) == (4, [0, 1, 2, 3], 2)


async def test_quarantined_interval_is_acknowledged_and_told_again_where_it_is_sent_again(place: Place) -> None:
    place.clock.advance(seconds=3)
    wrong = place.event(0, gpu_seconds=900)
    first = await place.beat(wrong)
    assert first["acknowledged_sequence"] == 0
    assert await place.beat(wrong) == first
    assert (await place.beat(place.event(0, gpu_seconds=1)))["quarantined"] == first["quarantined"], "first told counts"
    answer = await place.beat(place.event(1))
    assert (answer["acknowledged_sequence"], answer["quarantined"]) == (1, [])
    assert await place.used() == (2, 100)
    assert len(await place.quarantined()) == 1


async def test_same_time_told_under_many_numbers_is_charged_once(place: Place) -> None:
    place.clock.advance(seconds=60)
    for number in range(5):
        await place.beat(place.event(number, gpu_seconds=3, seconds=3, tokens=1))
    assert await place.used() == (3, 1)
    assert await place.quarantined() == [(number, "overlaps") for number in range(1, 5)]


async def test_run_is_charged_for_its_devices_time_and_thirty_seconds_once(place: Place) -> None:
    """Each interval may round up by two seconds; a thousand empty ones may not add up to half an hour."""
    place.clock.advance(seconds=10)
    empty = [place.event(number, gpu_seconds=2, seconds=0, tokens=0) for number in range(100)]
    await place.beat(*empty)
    assert (await place.used())[0] == 10 + 30
    place.clock.advance(seconds=20)
    await place.beat(place.event(100, gpu_seconds=20, seconds=20))
    assert (await place.used())[0] == 10 + 30 + 20


async def test_usage_of_a_worker_whose_clock_is_wrong_waits_for_finance(place: Place) -> None:
    """It is neither lost nor booked into another month; a clock within half a minute is believed."""
    place.clock.advance(seconds=60)
    ahead = [timedelta(seconds=31), timedelta(seconds=29)]
    await place.beat(
        *(
            place.event(number, gpu_seconds=1, started_at=place.clock.now + shift, ended_at=place.clock.now + shift)
            for number, shift in enumerate(ahead)
        )
    )
    assert await place.quarantined() == [(0, "outside_the_run")]
    assert (await place.used())[0] == 1


async def test_usage_that_begins_before_its_contract_s_month_is_booked_into_it(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    """A worker's clock within its slack chooses no month: the run began in December, so it is December's."""
    clock.now = datetime(2026, 11, 30, 16, 0, 5, tzinfo=UTC)  # five seconds after midnight in Shanghai
    async with open_place(api, app, system, clock) as place:
        early = clock.now - timedelta(seconds=10)
        await place.beat(place.event(0, started_at=early, ended_at=early + timedelta(seconds=2)))
        assert await place.used() == (2, 100)
        assert await place.months() == {"2026-12"}


async def test_usage_events_stop_a_run_that_has_reached_what_it_may_cost(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    """By `POST /v1/usage-events` a run went on for ever."""
    async with open_place(api, app, system, clock, monthly_budget="1.00") as place:
        place.clock.advance(hours=1)
        await place.post(place.event(0, gpu_seconds=3600, seconds=3600))
        job = await api.get(f"/jobs/{place.job_id}")
        assert job["stop_requested"] == "budget"
        assert (await place.beat())["command"] == "stop"


async def test_late_usage_of_an_ended_run_is_charged_while_its_contract_pays(place: Place) -> None:
    """It was refused with 409, and lost."""
    place.clock.advance(seconds=10)
    late = place.event(1, seconds=4)
    await place.finish(place.event_ago(0, seconds=7))
    place.clock.advance(hours=5)
    answer = await place.post(late)
    assert (answer["accepted"], answer["acknowledged_sequence"], answer["quarantined"]) == (1, 1, [])
    assert await place.used() == (4, 200)


async def test_late_usage_of_a_lost_and_superseded_run_is_charged_within_its_life(place: Place) -> None:
    place.clock.advance(seconds=10)
    within = place.event(0)
    async with place.system.work() as work:
        await lose_run(work, place.worker.run_id, "its heartbeats stopped")
    place.clock.advance(seconds=60)
    after = place.event(1)
    async with dispatched_worker(place.api, place.app, place.system, place.job_id) as second:
        await second.claim()
        answer = await place.post(within, after)
    assert [(each["sequence"], each["reason"]) for each in answer["quarantined"]] == [(1, "outside_the_run")]
    assert await place.used() == (2, 100)


async def test_late_usage_after_a_hard_stop_is_quarantined_as_over_budget(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    async with open_place(api, app, system, clock, monthly_budget="1.00") as place:
        place.clock.advance(hours=1)
        assert (await place.beat(place.event(0, gpu_seconds=3500, seconds=3500)))["reason"] == "budget"
        late = place.event(1, gpu_seconds=2, seconds=0)
        await api.post(f"/jobs/{place.job_id}/cancel")
        await place.finish(outcome="stopped")
        before = await api.get(f"/jobs/{place.job_id}")
        answer = await place.post(late)
        assert (answer["accepted"], answer["acknowledged_sequence"]) == (1, 1)
        assert answer["events"][0]["quarantined"] == "over_budget"
        assert await place.quarantined(reason="over_budget") == [(1, "over_budget")]
        assert await api.get(f"/jobs/{place.job_id}") == before
        assert await broken_rules(system) == {}


async def test_finish_told_again_with_more_usage_takes_it(place: Place) -> None:
    place.clock.advance(seconds=10)
    first = place.event_ago(0, seconds=7)
    await place.finish(first)
    await place.finish(first, place.event(1))
    assert await place.used() == (4, 200)


async def test_quarantined_intervals_are_counted_by_reason_in_the_metrics(place: Place) -> None:
    place.clock.advance(seconds=3)
    await place.beat(*(place.event(number, gpu_seconds=900) for number in range(5)))
    metrics = (await place.api.http.get("/metrics")).text
    assert 'broker_quarantined_usage_intervals_total{reason="longer_than_its_time"} 5.0' in metrics
    assert 'broker_quarantined_usage_intervals_total{reason="over_budget"} 0.0' in metrics


async def test_quarantine_is_listed_in_pages_for_finance(place: Place) -> None:
    place.clock.advance(seconds=3)
    await place.beat(*(place.event(number, gpu_seconds=900) for number in range(5)))
    async with Api.connect(place.app, await staff_key(place.api, "finance")) as finance:
        first = await finance.get("/quarantined-usage", limit=3, contract_id=place.customer.contract["id"])
        rest = await finance.get("/quarantined-usage", limit=3, cursor=first["next_cursor"])
        assert [each["sequence"] for each in first["data"] + rest["data"]] == [4, 3, 2, 1, 0]
        assert rest["next_cursor"] is None
        assert first["data"][0]["event"]["id"] == f"{place.worker.run_id}/4"
        await finance.get("/quarantined-usage", customer_id="cus_other", expect=404)
    async with Api.connect(place.app, await staff_key(place.api, "ops")) as ops:
        await ops.get("/quarantined-usage", expect=403)
    async with customer_api(place.api, place.customer.id) as own:
        await own.get("/quarantined-usage", expect=403)

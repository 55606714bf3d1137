"""Usage events: stored once and billed once, however often, in whatever order, and only what a run can have used."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from broker.system import System
from tests.broker.conftest import START
from tests.broker.factories import Api, Customer, customer_api, make_ready_customer, usage_event, worker_api
from tests.broker.running_jobs import RunningJob, broken_rules, read_balance, start_job

FENCE = {"X-Fence-Token": "1"}


@dataclass
class Reporter:
    """The worker of a run, and staff who look at what is on the books."""

    api: Api
    worker: Api
    system: System
    customer: Customer
    job: RunningJob

    async def send(self, *events: Any, expect: int = 202, fence: str = "1") -> Any:
        body = events[0] if len(events) == 1 else list(events)
        headers = {"X-Fence-Token": fence}
        return (await self.worker.call("POST", "/usage-events", expect=expect, json=body, headers=headers)).json()

    def event(self, sequence: int = 0, **fields: Any) -> Any:
        """Make an interval that begins four seconds after the one before."""
        started_at = START + timedelta(seconds=4 * sequence)
        return usage_event(self.job.run_id, sequence, **{"started_at": started_at, **fields})

    async def booked(self) -> tuple[int, int]:
        """GPU-seconds and tokens that were captured; they are those of the stored events and of the job."""
        balance = await read_balance(self.system, self.customer.contract["id"])
        usage = await self.api.get("/usage", job_id=self.job.id)
        job = await self.api.get(f"/jobs/{self.job.id}/usage")
        used = balance.used_gpu_seconds, balance.used_tokens
        assert used == (usage["gpu_seconds"], usage["tokens"]) == (job["gpu_seconds"], job["tokens"])
        assert await broken_rules(self.system) == {}
        return used


@pytest.fixture
async def reporter(api: Api, system: System) -> AsyncIterator[Reporter]:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer, run_gpus=1)
    async with worker_api(api.app, system, job.run_id) as worker:
        yield Reporter(api, worker, system, customer, job)


async def test_event_is_billed_once_however_often_it_is_sent(reporter: Reporter) -> None:
    for _ in range(3):
        answer = await reporter.send(reporter.event(gpu_seconds=5, tokens=70))
        assert (answer["acknowledged_sequence"], answer["quarantined"]) == (0, [])
    assert await reporter.booked() == (5, 70)


async def test_event_sent_by_many_at_once_is_billed_once(reporter: Reporter) -> None:
    events = [reporter.event(number, gpu_seconds=2, tokens=10) for number in range(4)]
    answers = await asyncio.gather(*(reporter.send(*events) for _ in range(10)))
    assert {answer["acknowledged_sequence"] for answer in answers} == {3}
    assert await reporter.booked() == (8, 40)


async def test_interval_that_ends_at_a_checkpoint_is_kept_with_its_step(reporter: Reporter) -> None:
    at_checkpoint = reporter.event(1, gpu_seconds=0, tokens=0)
    at_checkpoint["data"]["checkpoint_step"] = 100
    await reporter.send(reporter.event(0), at_checkpoint)
    usage = await reporter.api.get(f"/jobs/{reporter.job.id}/usage")
    assert [interval["checkpoint_step"] for interval in usage["data"]] == [None, 100]


async def test_first_telling_of_an_interval_counts(reporter: Reporter) -> None:
    await reporter.send(reporter.event(gpu_seconds=5, tokens=70))
    await reporter.send(reporter.event(gpu_seconds=9, tokens=900))
    assert await reporter.booked() == (5, 70)


async def test_duplicates_within_a_batch_are_billed_once(reporter: Reporter) -> None:
    event = reporter.event(gpu_seconds=5, tokens=70)
    await reporter.send(event, event, event)
    assert await reporter.booked() == (5, 70)


async def test_events_out_of_order_are_all_billed_and_acknowledged_up_to_the_gap(reporter: Reporter) -> None:
    assert (await reporter.send(reporter.event(3), reporter.event(1)))["acknowledged_sequence"] == -1
    assert (await reporter.send(reporter.event(0)))["acknowledged_sequence"] == 1
    assert (await reporter.send(reporter.event(5)))["acknowledged_sequence"] == 1
    assert (await reporter.send(reporter.event(2)))["acknowledged_sequence"] == 3
    assert (await reporter.send(reporter.event(4)))["acknowledged_sequence"] == 5
    assert await reporter.booked() == (12, 600)


def spoilt(name: str, value: Any) -> Any:
    return lambda event: event["data"].update({name: value})


MALFORMED = [
    (spoilt("gpu_seconds", -1), "data.gpu_seconds"),
    (spoilt("tokens", -1), "data.tokens"),
    (spoilt("tokens", 10**30), "data.tokens"),
    (spoilt("tokens", 1.5), "data.tokens"),
    (spoilt("sequence", -1), "data.sequence"),
    (spoilt("sequence", 2**63), "data.sequence"),
    (spoilt("ended_at", "2026-11-10T04:00:02"), "data.ended_at"),
    (spoilt("ended_at", "9999-12-31T23:00:00Z"), "data.ended_at"),
    (lambda event: event.update(subject="run_other"), "subject"),
    (lambda event: event.update(id="run_other/0"), "subject"),
    (lambda event: event.update(specversion="0.3"), "specversion"),
    (lambda event: event.update(type="lora.usage.total"), "type"),
]


async def test_event_that_is_none_is_refused_and_nothing_is_booked(reporter: Reporter) -> None:
    for spoil, field in MALFORMED:
        event = reporter.event(gpu_seconds=2)
        spoil(event)
        problem = await reporter.send(event, expect=422)
        assert any(found["field"].endswith(field) for found in problem["errors"]), (field, problem)
    assert await reporter.booked() == (0, 0)


async def test_one_bad_event_does_not_sink_its_batch(reporter: Reporter) -> None:
    events = [reporter.event(0), reporter.event(1, gpu_seconds=2) | {"subject": "run_other"}, reporter.event(0)]
    outcomes = (await reporter.send(*events))["events"]
    assert [each["status"] for each in outcomes] == ["accepted", "rejected", "duplicate"]
    assert [fault["field"] for fault in outcomes[1]["errors"]] == ["subject"]
    assert await reporter.booked() == (2, 100)


async def test_run_cannot_report_for_another_run(reporter: Reporter) -> None:
    other = await start_job(reporter.system, reporter.customer)
    await reporter.send(usage_event(other.run_id), expect=422)
    assert await reporter.booked() == (0, 0)


async def test_stale_fence_token_books_nothing(reporter: Reporter) -> None:
    problem = await reporter.send(reporter.event(), fence="2", expect=409)
    assert problem["type"] == "/problems/stale-fence-token"
    assert await reporter.booked() == (0, 0)


async def test_customer_cannot_report_usage(reporter: Reporter) -> None:
    async with customer_api(reporter.api, reporter.customer.id) as own:
        await own.call("POST", "/usage-events", expect=403, json=reporter.event(), headers=FENCE)
    assert await reporter.booked() == (0, 0)

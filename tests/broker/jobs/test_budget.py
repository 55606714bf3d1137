"""A quote binds upward: its job pauses there until the customer raises it, or what goes beyond is borne."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from broker.estimator.service import learn
from broker.persistence.outbox import OutboxMessage
from broker.system import System
from tests.broker.factories import (
    CONFIG,
    Api,
    Customer,
    customer_api,
    make_ready_customer,
    staff_key,
    submit_job,
)
from tests.broker.running_jobs import broken_rules, read_balance
from tests.broker.worker_calls import Worker, dispatched_worker, worker_of

GPU_HOUR, TOKEN = Fraction("6.8"), Fraction("0.00012")


@dataclass
class Place:
    """Where a test's job runs."""

    api: Api
    app: FastAPI
    system: System

    async def job(self, job_id: str) -> Any:
        return await self.api.get(f"/jobs/{job_id}")

    @asynccontextmanager
    async def running(self, job_id: str) -> AsyncIterator[Worker]:
        async with dispatched_worker(self.api, self.app, self.system, job_id) as worker:
            await worker.claim()
            yield worker


@pytest.fixture
def place(api: Api, app: FastAPI, system: System) -> Place:
    return Place(api, app, system)


async def submit_quoted(api: Api, customer: Customer, **fields: Any) -> tuple[Any, Any]:
    """Submit a job with a quote of its own; returns job and quote."""
    body = {"config": CONFIG, "dataset_id": customer.dataset["id"]}
    quote = await api.post("/quotes", body, expect=201)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, quote_id=quote["id"], **fields)
    return job, quote


async def pause_at_quote(place: Place, customer: Customer) -> tuple[Any, Any]:
    """Bring a job to where it has used its quoted GPU-seconds, has a checkpoint at half of its steps, and is paused."""
    job, quote = await submit_quoted(place.api, customer)
    async with place.running(job["id"]) as worker:
        await worker.beat(quote["estimate"]["gpu_seconds"]["p90"])
        await worker.put("checkpoints/1", b"half")
        await worker.finish("stopped")
    paused = await place.job(job["id"])
    assert (paused["status"], paused["pause_reason"]) == ("paused", "limit")
    return paused, quote


async def list_kinds(api: Api, job_id: str) -> list[str]:
    return [event["kind"] for event in (await api.get(f"/jobs/{job_id}/events"))["data"]]


def micros(money: Any) -> int:
    return int(Decimal(money["amount"]) * 10**6)


async def test_job_pauses_at_its_quoted_gpu_seconds(place: Place) -> None:
    customer = await make_ready_customer(place.api)
    job, quote = await submit_quoted(place.api, customer)
    p90 = quote["estimate"]["gpu_seconds"]["p90"]
    assert (job["quote_guarantee"], job["limit_gpu_seconds"], job["cap"]) == ("pause", p90, None)
    async with place.running(job["id"]) as worker:
        assert (await worker.beat(p90 - 1))["command"] == "continue"
        told = await worker.beat(1)
        assert (told["command"], told["reason"]) == ("stop", "limit")
        await worker.finish("stopped")
    job = await place.job(job["id"])
    assert (job["status"], job["pause_reason"], job["stop_requested"]) == ("paused", "limit", None)
    assert await broken_rules(place.system) == {}


async def test_job_that_was_stopped_at_its_quote_teaches_the_estimator(place: Place) -> None:
    """Left out, the slow ones would make every p90 narrower than the one before."""
    customer = await make_ready_customer(place.api)
    job, quote = await submit_quoted(place.api, customer)
    async with place.running(job["id"]) as worker:
        await worker.beat(quote["estimate"]["gpu_seconds"]["p90"])
        await worker.finish("stopped")
    learnt = await learn(place.system)
    assert learnt is not None
    assert learnt.runs == 1


async def test_job_pauses_at_its_quoted_price_where_its_tokens_are_more_than_quoted(place: Place) -> None:
    customer = await make_ready_customer(place.api)
    job, quote = await submit_quoted(place.api, customer)
    estimate = quote["estimate"]
    exact = GPU_HOUR * estimate["gpu_seconds"]["p90"] / 3600 + TOKEN * estimate["tokens"]
    shown = next(price for price in quote["prices"] if price["plan"] == "on_demand")["total_p90"]
    limit = max(exact, Fraction(shown["amount"]))  # all that was quoted can be used, also where its fen is rounded up
    assert 0 <= micros(job["limit"]) - limit * 10**6 < 1
    async with place.running(job["id"]) as worker:
        most = int(limit / TOKEN)
        told = await worker.post("heartbeats", usage=[worker.interval(0, most)])
        assert told["command"] == "continue"
        told = await worker.post("heartbeats", usage=[worker.interval(0, 1)])
        assert (told["command"], told["reason"]) == ("stop", "limit")


async def test_job_that_named_no_quote_goes_on_past_its_estimate(place: Place) -> None:
    customer = await make_ready_customer(place.api)
    job = await submit_job(place.api, customer.dataset["id"], customer_id=customer.id)
    assert (job["quote_guarantee"], job["limit"], job["limit_gpu_seconds"]) == (None, None, None)
    async with place.running(job["id"]) as worker:
        assert (await worker.beat(job["estimate"]["gpu_seconds"]["p90"] * 5))["command"] == "continue"


async def test_not_a_second_beyond_the_limit_is_charged(place: Place) -> None:
    """A worker that was cut off trains on and reports a whole hour at once; and it still ends the step in hand."""
    customer = await make_ready_customer(place.api)
    job, quote = await submit_quoted(place.api, customer)
    p90 = quote["estimate"]["gpu_seconds"]["p90"]
    async with place.running(job["id"]) as worker:
        await worker.beat(p90 - 1)
        late = [worker.interval(2) for _ in range(30)]
        assert (await worker.post("heartbeats", usage=late))["reason"] == "limit"
        await worker.finish("stopped", usage=[worker.interval(3)])
    job = await place.job(job["id"])
    assert job["used_gpu_seconds"] == p90 - 1 + 63
    assert micros(job["cost"]) == round(p90 * GPU_HOUR * 10**6 / 3600)
    assert micros(job["borne"]) == round(62 * GPU_HOUR * 10**6 / 3600)
    balance = await read_balance(place.system, customer.contract["id"])
    assert balance.used_gpu_seconds == p90
    assert await broken_rules(place.system) == {}


async def test_heartbeats_at_once_stop_the_run_once_and_charge_nothing_beyond(place: Place) -> None:
    customer = await make_ready_customer(place.api)
    job, quote = await submit_quoted(place.api, customer)
    p90 = quote["estimate"]["gpu_seconds"]["p90"]
    async with place.running(job["id"]) as worker:
        await worker.beat(p90 - 1)
        intervals = [worker.interval(5) for _ in range(6)]
        answers = await asyncio.gather(*(worker.post("heartbeats", usage=[each]) for each in intervals))
        assert {answer["reason"] for answer in answers} == {"limit"}
    job = await place.job(job["id"])
    assert micros(job["cost"]) == round(p90 * GPU_HOUR * 10**6 / 3600)
    assert (await list_kinds(place.api, job["id"])).count("stop_requested") == 1
    async with place.system.work() as work:
        query = select(OutboxMessage.run_id).where(OutboxMessage.kind == "stop")
        assert len((await work.session.scalars(query)).all()) == 1
    assert await broken_rules(place.system) == {}


async def test_job_at_its_quote_goes_on_only_under_a_higher_max_cost(place: Place) -> None:
    customer = await make_ready_customer(place.api)
    job, _quote = await pause_at_quote(place, customer)
    for body in ({}, {"max_cost": job["cost"]["amount"]}, {"max_cost": "0.000001"}):
        problem = await place.api.post(f"/jobs/{job['id']}/resume", body, expect=402)
        assert (problem["type"], problem["errors"][0]["field"]) == ("/problems/max-cost-exceeded", "max_cost")
    assert (await place.job(job["id"])) == job, "what was refused has changed nothing"
    resumed = await place.api.post(f"/jobs/{job['id']}/resume", {"max_cost": "50"})
    assert (resumed["status"], resumed["pause_reason"]) == ("queued", None)
    assert (resumed["max_cost"]["amount"], resumed["limit"]["amount"]) == ("50.00", "50.00")
    assert resumed["limit_gpu_seconds"] is None
    assert (await list_kinds(place.api, job["id"]))[-2:] == ["limit_raised", "resumed"]
    async with place.running(job["id"]) as worker:
        assert (await worker.beat(3600))["command"] == "continue"
        assert (await worker.beat(7 * 3600))["reason"] == "limit"
    assert await broken_rules(place.system) == {}


async def test_resumed_job_is_quoted_and_held_for_what_is_left(place: Place) -> None:
    customer = await make_ready_customer(place.api)
    job, quote = await pause_at_quote(place, customer)
    estimate, left = quote["estimate"], job["remaining"]
    assert left["steps"] == estimate["steps"] - 1
    pace = estimate["gpu_seconds"]["p90"]  # of the one step, which took all that was quoted for the two
    assert left["gpu_seconds"] == {"p50": pace, "p90": pace}
    assert left["tokens"] == -(-estimate["tokens"] // estimate["steps"])
    price = GPU_HOUR * pace / 3600 + TOKEN * left["tokens"]
    assert micros(left["cost"]["p90"]) == round(price * 10**6)
    await place.api.post(f"/jobs/{job['id']}/resume", {"max_cost": "50"})
    balance = await read_balance(place.system, customer.contract["id"])
    assert (balance.held_gpu_seconds, balance.held_tokens) == (pace, left["tokens"])
    assert abs(balance.held_money.micros - price * 10**6) <= 2
    assert await broken_rules(place.system) == {}


async def test_no_more_is_held_than_the_raised_limit_lets_the_job_cost(place: Place) -> None:
    customer = await make_ready_customer(place.api)
    job, _quote = await pause_at_quote(place, customer)
    raised = f"{Decimal(job['cost']['amount']) + Decimal('0.01'):f}"
    await place.api.post(f"/jobs/{job['id']}/resume", {"max_cost": raised})
    balance = await read_balance(place.system, customer.contract["id"])
    assert 8_000 < balance.held_money.micros <= 10_000, "less than one GPU-second below"
    assert await broken_rules(place.system) == {}


async def test_what_is_left_must_be_payable(place: Place) -> None:
    like, _quote = await submit_quoted(place.api, await make_ready_customer(place.api))
    price = Decimal(like["limit"]["amount"]) * Decimal("1.1")
    customer = await make_ready_customer(place.api, monthly_budget=f"{price:.4f}")
    job, _quote = await pause_at_quote(place, customer)
    problem = await place.api.post(f"/jobs/{job['id']}/resume", {"max_cost": "50"}, expect=402)
    assert problem["type"] == "/problems/budget-exceeded"
    assert (await place.job(job["id"])) == job


async def test_only_the_customer_and_the_administrator_raise_what_a_job_may_cost(place: Place) -> None:
    customer, stranger = await make_ready_customer(place.api), await make_ready_customer(place.api)
    job, _quote = await pause_at_quote(place, customer)
    path, body = f"/jobs/{job['id']}/resume", {"max_cost": "50"}
    for role in ("ops", "finance"):
        async with Api.connect(place.app, await staff_key(place.api, role)) as staff:
            await staff.post(path, body, expect=403)
    async with customer_api(place.api, stranger.id) as other:
        await other.post(path, body, expect=404)
    async with customer_api(place.api, customer.id) as own:
        assert (await own.post(path, body))["status"] == "queued"


async def test_ops_resume_a_job_that_needs_no_raise(place: Place) -> None:
    customer = await make_ready_customer(place.api)
    job, _quote = await submit_quoted(place.api, customer)
    await place.api.post(f"/jobs/{job['id']}/pause")
    assert (await place.job(job["id"]))["pause_reason"] == "pause"
    async with Api.connect(place.app, await staff_key(place.api, "ops")) as ops:
        assert (await ops.post(f"/jobs/{job['id']}/resume"))["status"] == "queued"


async def test_capped_job_runs_to_its_end_and_the_customer_pays_the_quote(place: Place) -> None:
    customer = await make_ready_customer(place.api, quote_guarantee="cap")
    job, quote = await submit_quoted(place.api, customer)
    shown = {price["plan"]: price["total_p90"] for price in quote["prices"]}["on_demand"]
    assert (job["quote_guarantee"], job["cap"], job["limit"]) == ("cap", shown, None)
    p90 = quote["estimate"]["gpu_seconds"]["p90"]
    async with place.running(job["id"]) as worker:
        for _ in range(4):
            assert (await worker.beat(p90))["command"] == "continue"
        await worker.finish("succeeded", usage=[worker.interval(0, quote["estimate"]["tokens"])])
    job = await place.job(job["id"])
    assert (job["status"], job["used_gpu_seconds"]) == ("succeeded", 4 * p90)
    actual = 4 * p90 * GPU_HOUR / 3600 + quote["estimate"]["tokens"] * TOKEN
    assert 0 <= micros(shown) - micros(job["cost"]) < 1900, "less than one GPU-second below the cap"
    assert abs(micros(job["cost"]) + micros(job["borne"]) - actual * 10**6) <= 1
    invoice = await place.api.post(
        "/invoices", {"contract_id": customer.contract["id"], "month": "2026-11"}, expect=201
    )
    assert invoice["total"] == shown
    assert (await place.api.get(f"/jobs/{job['id']}/usage"))["gpu_seconds"] == 4 * p90, "the evidence is whole"
    assert await broken_rules(place.system) == {}


async def test_cap_of_a_contract_holds_for_a_job_without_a_quote_too(place: Place) -> None:
    customer = await make_ready_customer(place.api, quote_guarantee="cap")
    job = await submit_job(place.api, customer.dataset["id"], customer_id=customer.id)
    async with place.running(job["id"]) as worker:
        assert (await worker.beat(3600))["command"] == "continue"
    after = await place.job(job["id"])
    assert micros(after["cost"]) <= micros(after["cap"]) < micros(after["borne"])


async def test_house_s_hours_are_not_taken_from_the_customer_s_grant(place: Place) -> None:
    customer = await make_ready_customer(place.api, plan="prepaid", quote_guarantee="cap")
    job, _quote = await submit_quoted(place.api, customer)
    async with place.running(job["id"]) as worker:
        await worker.beat(10 * 3600)
        await worker.finish("succeeded")
    job = await place.job(job["id"])
    paid = int(micros(job["cap"]) // (Fraction("5.2") * 10**6 / 3600))
    balance = await read_balance(place.system, customer.contract["id"])
    assert (balance.used_gpu_seconds, balance.held_gpu_seconds) == (paid, 0)
    assert balance.available_gpu_seconds == 500 * 3600 - paid
    assert await broken_rules(place.system) == {}


async def test_capped_job_still_pauses_at_its_customer_s_max_cost(place: Place) -> None:
    customer = await make_ready_customer(place.api, quote_guarantee="cap")
    body = {"config": {**CONFIG, "epochs": 500}, "dataset_id": customer.dataset["id"]}
    quote = await place.api.post("/quotes", body, expect=201)
    prices = {price["plan"]: price for price in quote["prices"]}["on_demand"]
    fields = {"quote_id": quote["id"], "max_cost": prices["total"]["amount"], "config": body["config"]}
    job = await submit_job(place.api, customer.dataset["id"], customer_id=customer.id, **fields)
    async with place.running(job["id"]) as worker:
        limit = int(micros(job["limit"]) / (GPU_HOUR * 10**6 / 3600))
        assert (await worker.beat(limit))["command"] == "continue"
        assert (await worker.beat(1))["reason"] == "limit"
        await worker.finish("stopped")
    raised = await place.api.post(f"/jobs/{job['id']}/resume", {"max_cost": "5000"})
    assert raised["cap"] == prices["total_p90"], "a cap stays where it was"
    assert await broken_rules(place.system) == {}


async def test_run_that_is_lost_at_its_limit_is_not_tried_again(place: Place) -> None:
    customer = await make_ready_customer(place.api)
    job, quote = await submit_quoted(place.api, customer)
    async with place.running(job["id"]) as worker:
        await worker.beat(quote["estimate"]["gpu_seconds"]["p90"])
    async with worker_of(place.api, place.app, place.system, job["id"]) as worker:
        await worker.finish("preempted")
    assert (await place.job(job["id"]))["pause_reason"] == "limit"

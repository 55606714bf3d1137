"""Validation losses, samples and the cost, between a worker and its job's customer."""

from typing import Any

import pytest
from fastapi import FastAPI

from broker.system import System
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.worker_calls import dispatched_worker, worker_of

ADVICE = "overfitting: the validation loss rises (2.50, best 2.40 after epoch 1); train fewer epochs"
VALIDATIONS = [{"step": 5, "loss": 2.4}, {"step": 10, "loss": 2.5, "advice": ADVICE}]
SAMPLES = [{"step": 10, "prompt": prompt, "text": "calm"} for prompt in ("tea?", "rain?")]
PICTURE = "data:image/jpeg;base64,/9j/4AAQ"


@pytest.fixture
async def job_id(api: Api) -> str:
    customer = await make_ready_customer(api)
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])


async def list_observations(api: Api, job_id: str) -> list[dict[str, Any]]:
    events = (await api.get(f"/jobs/{job_id}/events"))["data"]
    return [event for event in events if event["kind"] in {"validated", "sampled", "overfitting_noticed"}]


async def test_observations_become_events_of_the_job_each_once(
    api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        for validations in (VALIDATIONS[:1], VALIDATIONS, VALIDATIONS):
            await worker.post("heartbeats", validations=validations, samples=SAMPLES)
        await worker.finish("stopped", validations=VALIDATIONS, samples=SAMPLES)
    observations = await list_observations(api, job_id)
    run_id = worker.run_id
    assert [(observation["kind"], observation["data"]["step"]) for observation in observations] == [
        ("validated", 5),
        ("sampled", 10),
        ("sampled", 10),
        ("validated", 10),
        ("overfitting_noticed", 10),
    ]
    assert observations[0]["data"] == {"run_id": run_id, "step": 5, "loss": 2.4}
    assert observations[1]["data"] == {"run_id": run_id, "step": 10, "prompt": "tea?", "text": "calm"}
    assert observations[4]["data"] == {"run_id": run_id, "step": 10, "message": ADVICE}


async def test_a_later_attempt_is_told_on_its_own(api: Api, app: FastAPI, system: System, job_id: str) -> None:
    for _ in range(2):
        async with dispatched_worker(api, app, system, job_id) as worker:
            await worker.claim()
            await worker.post("heartbeats", validations=VALIDATIONS[:1])
            await worker.finish("preempted")
    assert [observation["data"]["step"] for observation in await list_observations(api, job_id)] == [5, 5]


async def test_validation_loss_stands_in_the_progress(api: Api, app: FastAPI, system: System, job_id: str) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        progress = {"step": 5, "total_steps": 9, "loss": 2.2, "validation_loss": 2.4}
        await worker.post("heartbeats", progress=progress)
    assert (await api.get(f"/jobs/{job_id}"))["progress"] == progress


async def test_the_answer_has_the_cost_by_the_brokers_rating(
    api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.beat(30)
    async with worker_of(api, app, system, job_id) as same:
        same.sequence = worker.sequence
        answer = await same.post("heartbeats", usage=[same.interval(30, tokens=50)])
    assert answer["cost_so_far"] == (await api.get(f"/jobs/{job_id}"))["cost"]
    assert float(answer["cost_so_far"]["amount"]) > 0


@pytest.mark.parametrize(
    "samples",
    [
        [{"step": 1, "prompt": "x" * 2001, "text": "a"}],
        [{"step": 1, "prompt": "x", "image": "https://elsewhere.example/a.jpg"}],
        [{"step": 1, "prompt": "x", "image": PICTURE + "A" * 100_000}],
        [{"step": 1, "prompt": "x", "text": "a"}] * 17,
    ],
)
async def test_a_sample_that_is_too_large_or_points_elsewhere_is_refused(
    samples: list[dict[str, Any]], api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.post("heartbeats", samples=samples, expect=422)
        await worker.post("heartbeats", samples=[{"step": 1, "prompt": "x", "image": PICTURE}])
    assert [observation["data"]["image"] for observation in await list_observations(api, job_id)] == [PICTURE]

"""What a job may be expected to need has a bound, and what is kept of it is checked when it is read."""

from typing import Any

import pytest

from broker.config import Settings
from broker.quotes.estimating.estimate import JobEstimate
from tests.broker.estimates import make_estimate
from tests.broker.factories import CONFIG, Api, customer_api, make_ready_customer
from tests.broker.test_bad_input import check_problem


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("data"), local_slots=0, max_job_gpu_hours=2)


@pytest.mark.parametrize("path", ["/quotes", "/jobs"])
async def test_job_beyond_what_one_may_need_is_refused_with_the_epochs_that_fit(api: Api, path: str) -> None:
    """A past fault: 10,000 epochs of 120,000 rows were taken, and stopped all scheduling."""
    customer = await make_ready_customer(api)
    body = {"config": {**CONFIG, "epochs": 10_000}, "dataset_id": customer.dataset["id"]}
    async with customer_api(api, customer.id) as own:
        problem = check_problem(
            await own.call("POST", path, json=body), 422, "config.epochs", "one may need 2", "lower it"
        )
        fitting = int(problem["errors"][0]["message"].partition("lower it to ")[2].partition(",")[0])
        body["config"] = {**CONFIG, "epochs": fitting}
        await own.post(path, body, expect=201)


async def test_what_the_device_cannot_run_is_refused_before_it_is_priced(api: Api) -> None:
    """A past fault: a base in 4 bit was quoted on a CPU, where the trainer refuses it once the job has started."""
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        for key, value in (("quantization", "4bit"), ("quantization", "8bit"), ("precision", "fp16")):
            body = {"config": {**CONFIG, key: value}, "dataset_id": customer.dataset["id"]}
            check_problem(await own.call("POST", "/quotes", json=body), 422, f"config.{key}", "needs a GPU")


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": -1},
        {"tokens": "9"},
        {"steps": 1.5},
        {"rows": None},
        {"steps": True},
        {"tokens": 2**63},
        {"gpu_seconds": {"p50": "many", "p90": 9}},
        {"gpu_seconds": {"p50": 1, "p90": 2**63}},
        {"gpu_seconds": 7},
        {"kind": {}},
        {"work": None},
    ],
    ids=str,
)
def test_estimate_that_was_never_written_is_not_read(change: dict[str, Any]) -> None:
    written = make_estimate().to_json()
    assert JobEstimate.from_json(written) == make_estimate()
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        JobEstimate.from_json({**written, **change})

"""When a job is expected to end: by what is left of its estimate, or by its own pace where it is slower than that."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.jobs.reading.expected_end import ExpectedEnd, estimate_seconds_left, expect_end
from broker.jobs.rules.remaining import estimate_remaining
from broker.jobs.tables import Job
from tests.broker.estimates import make_estimate
from tests.broker.jobs.rules.test_limits import PRICES

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
ESTIMATE = make_estimate(steps=100, p50=1000, p90=1500)


def make_job(status: str, **fields: Any) -> Job:
    blank = {"stop_requested": None, "expected_start": None, "remaining": None, "progress": None}
    return Job(status=status, estimate=ESTIMATE, gpus=1, used_gpu_seconds=0, **{**blank, **fields})


def left(**fields: int) -> tuple[int, int]:
    seconds = estimate_seconds_left(ESTIMATE, **fields)
    return seconds.p50, seconds.p90


def seconds_until(end: ExpectedEnd | None) -> tuple[float, float]:
    assert end is not None
    return (end.p50 - NOW).total_seconds(), (end.p90 - NOW).total_seconds()


@pytest.mark.parametrize(("done", "expected"), [(0, (1000, 1500)), (25, (750, 1125)), (100, (0, 0)), (120, (0, 0))])
def test_share_of_the_steps_is_left(done: int, expected: tuple[int, int]) -> None:
    assert left(done_steps=done, used_gpu_seconds=0) == expected


def test_job_on_a_busy_machine_goes_on_at_its_own_pace() -> None:
    """47 s were quoted and 176 s run on a busy machine: by half of its steps it shows."""
    assert left(done_steps=50, used_gpu_seconds=1500) == (1500, 1500)


def test_time_to_load_is_no_pace() -> None:
    assert left(done_steps=1, used_gpu_seconds=600) == (990, 1485)


@given(st.integers(0, 200), st.integers(0, 10**6))
def test_p90_is_never_before_p50_and_neither_in_the_past(done: int, used: int) -> None:
    p50, p90 = left(done_steps=done, used_gpu_seconds=used)
    assert 0 <= p50 <= p90


def test_running_job_ends_after_what_is_left() -> None:
    job = make_job("running", progress={"step": 25, "total_steps": 100})
    assert seconds_until(expect_end(job, NOW)) == (750, 1125)


def test_seconds_are_of_all_its_devices() -> None:
    job = make_job("running", progress={"step": 25, "total_steps": 100})
    job.gpus = 2
    assert seconds_until(expect_end(job, NOW)) == (375, 563)


def test_job_that_loads_needs_all_of_it() -> None:
    assert seconds_until(expect_end(make_job("running"), NOW)) == (1000, 1500)


def test_requeued_job_needs_what_is_left_since_its_checkpoint_not_since_the_step_it_reached() -> None:
    remaining = estimate_remaining(ESTIMATE, PRICES, done_steps=50, trained_steps=75, used_gpu_seconds=0)
    job = make_job("dispatched", remaining=remaining, progress={"step": 75, "total_steps": 100})
    assert seconds_until(expect_end(job, NOW)) == (500, 750)


def test_queued_job_ends_after_its_forecast_start() -> None:
    job = make_job("queued", expected_start=NOW + timedelta(seconds=60))
    assert seconds_until(expect_end(job, NOW)) == (1060, 1560)


def test_start_that_was_forecast_for_the_past_is_now() -> None:
    job = make_job("queued", expected_start=NOW - timedelta(seconds=60))
    assert seconds_until(expect_end(job, NOW)) == (1000, 1500)


@pytest.mark.parametrize("status", ["queued", "paused", "succeeded", "failed", "cancelled"])
def test_nobody_knows_the_end_of_a_job_that_does_not_run(status: str) -> None:
    assert expect_end(make_job(status), NOW) is None


def test_job_that_is_told_to_stop_has_no_expected_end() -> None:
    assert expect_end(make_job("running", stop_requested="pause"), NOW) is None

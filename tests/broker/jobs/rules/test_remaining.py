"""What is left of a job: the estimate's share of the steps, or the job's own pace where it was overrun."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.jobs.rules.remaining import Remaining, estimate_remaining, move_to_type
from pricing.estimate.type_choice import TypedRun
from pricing.money import Money
from tests.broker.estimates import make_estimate
from tests.broker.jobs.rules.test_limits import PRICES

ESTIMATE = make_estimate(steps=100, tokens=9001, p50=1000, p90=1500)


def remaining(**fields: Any) -> tuple[int, int, int, int]:
    left = estimate_remaining(
        ESTIMATE, PRICES, **{"trained_steps": fields["done_steps"], "used_gpu_seconds": 0, **fields}
    )
    return left.steps, left.tokens, left.gpu_seconds.p50, left.gpu_seconds.p90


@pytest.mark.parametrize(
    ("done", "expected"),
    [(0, (100, 9001, 1000, 1500)), (25, (75, 6751, 750, 1125)), (99, (1, 91, 10, 15)), (100, (0, 0, 0, 0))],
)
def test_share_of_the_steps_is_left_rounded_up(done: int, expected: tuple[int, ...]) -> None:
    assert remaining(done_steps=done) == expected


def test_job_that_overran_its_estimate_goes_on_at_its_own_pace() -> None:
    assert remaining(done_steps=60, used_gpu_seconds=1800) == (40, 3601, 1200, 1200)


def test_pace_is_that_of_every_step_that_was_trained_though_some_are_done_again() -> None:
    assert remaining(done_steps=60, trained_steps=75, used_gpu_seconds=1500) == (40, 3601, 800, 800)


def test_slow_start_within_the_estimate_says_nothing_about_the_pace() -> None:
    """Loading takes most of the first seconds: a job preempted at its first step was given sixteen hours."""
    assert remaining(done_steps=1, used_gpu_seconds=600)[2:] == (990, 1485)


def test_job_that_overran_before_its_first_step_needs_all_of_its_estimate() -> None:
    assert remaining(done_steps=0, used_gpu_seconds=5000) == (100, 9001, 1000, 1500)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 10**6))
def test_what_is_left_is_never_negative_and_p90_never_below_p50(done: int, more: int, used: int) -> None:
    left = estimate_remaining(ESTIMATE, PRICES, done_steps=done, trained_steps=done + more, used_gpu_seconds=used)
    assert 0 <= left.steps <= 100
    assert 0 <= left.gpu_seconds.p50 <= left.gpu_seconds.p90
    assert left.tokens >= 9001 * left.steps / 100


def test_its_price_is_that_of_the_contract_and_it_is_read_as_it_was_written() -> None:
    left = estimate_remaining(ESTIMATE, PRICES, done_steps=25, trained_steps=25, used_gpu_seconds=0)
    assert left.cost.p50 == Money.from_exact(Fraction(750) * Fraction("6.8") / 3600 + 6751 * Fraction("0.00012"))
    assert left.cost.p90 > left.cost.p50
    assert Remaining.from_json(left.to_json()) == left


def test_on_another_type_the_same_share_is_left_of_its_seconds_and_of_its_price() -> None:
    """The seconds were those of the type that ran next, the price beside them that of the one before."""
    left = estimate_remaining(ESTIMATE, PRICES, done_steps=25, trained_steps=25, used_gpu_seconds=0)
    after = make_estimate(sku="h100-80g", steps=100, tokens=9001, p50=100, p90=201)
    runs = [TypedRun("cpu", 1000, 1500, 4_000_000), TypedRun("h100-80g", 100, 201, 6_000_000)]
    moved = move_to_type(left, ESTIMATE, after, runs)
    assert moved.gpu_seconds == (75, 151)
    assert moved.cost.p90 == Money.from_exact(Fraction(left.cost.p90.to_decimal()) * Fraction(3, 2))
    assert (moved.steps, moved.tokens) == (left.steps, left.tokens)

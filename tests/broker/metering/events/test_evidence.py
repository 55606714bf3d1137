"""What is believed of a run's usage: the pure rules, each at its border."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.metering.events.evidence import EXPLANATIONS, Doubt, RunLife, Span, Timeline, judge_intervals
from broker.metering.events.model import UsageData
from pricing.usage import Usage

START = datetime(2026, 11, 10, 4, tzinfo=UTC)
LIFE = RunLife(gpus=2, since=START, until=START + timedelta(seconds=100), used=Usage(), job_tokens=500_000)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def interval(began: float, ended: float, *, gpu_seconds: int = 0, tokens: int = 0, sequence: int = 0) -> UsageData:
    return UsageData(
        sequence=sequence, started_at=at(began), ended_at=at(ended), gpu_seconds=gpu_seconds, tokens=tokens
    )


def judge(*new: UsageData, stored: list[Span] | None = None, life: RunLife = LIFE) -> dict[int, Doubt]:
    return judge_intervals(new, Timeline(stored or []), life)


@pytest.mark.parametrize(
    ("claimed", "doubt"),
    [
        (interval(-30, 130), None),
        (interval(-31, 0), Doubt.OUTSIDE_THE_RUN),
        (interval(90, 131), Doubt.OUTSIDE_THE_RUN),
        (interval(-800_000_000, -799_999_998, gpu_seconds=2), Doubt.OUTSIDE_THE_RUN),
        (interval(10, 9), Doubt.ENDS_BEFORE_IT_STARTS),
        (interval(10, 10, gpu_seconds=4), None),
        (interval(10, 10, gpu_seconds=5), Doubt.LONGER_THAN_ITS_TIME),
        (interval(10, 12, gpu_seconds=8), None),
        (interval(10, 12, gpu_seconds=9), Doubt.LONGER_THAN_ITS_TIME),
        (interval(0, 3, gpu_seconds=10**9), Doubt.LONGER_THAN_ITS_TIME),
        (interval(-700_000_000, 3, gpu_seconds=10**9), Doubt.OUTSIDE_THE_RUN),
        (interval(-10, 110, gpu_seconds=230), None),
        (interval(-10, 110, gpu_seconds=231), Doubt.LONGER_THAN_THE_RUN),
        (interval(0, 2, tokens=1_000_000), None),
        (interval(0, 2, tokens=1_000_001), Doubt.MORE_TOKENS_THAN_THE_JOB),
        (interval(0, 2, tokens=10**12), Doubt.MORE_TOKENS_THAN_THE_JOB),
    ],
)
def test_interval_is_believed_up_to_what_the_broker_knows(claimed: UsageData, doubt: Doubt | None) -> None:
    assert judge(claimed).get(0) == doubt


def test_nothing_is_believed_of_a_run_that_no_worker_has_claimed() -> None:
    life = RunLife(gpus=1, since=None, until=at(0), used=Usage(), job_tokens=100)
    assert judge(interval(0, 0, tokens=1), life=life) == {0: Doubt.OUTSIDE_THE_RUN}


def test_tokens_of_a_job_that_was_counted_too_low_are_believed_at_a_small_rate() -> None:
    life = RunLife(gpus=1, since=at(0), until=at(70), used=Usage(), job_tokens=57)
    assert judge(interval(0, 70, tokens=100_000), life=life) == {}
    assert judge(interval(0, 70, tokens=100_001), life=life) == {0: Doubt.MORE_TOKENS_THAN_THE_JOB}


def test_what_was_believed_before_counts_towards_the_run() -> None:
    life = RunLife(gpus=2, since=at(0), until=at(100), used=Usage(228, 999_990), job_tokens=500_000)
    assert judge(interval(98, 100, gpu_seconds=3), life=life) == {0: Doubt.LONGER_THAN_THE_RUN}
    assert judge(interval(98, 100, gpu_seconds=2, tokens=10), life=life) == {}
    assert judge(interval(98, 100, tokens=11), life=life) == {0: Doubt.MORE_TOKENS_THAN_THE_JOB}


@pytest.mark.parametrize(
    ("began", "ended", "fits"),
    [(20, 40, True), (20, 20, True), (30, 40, True), (19.9, 30, False), (30, 40.1, False), (0, 100, False)],
)
def test_one_time_is_told_under_one_number(began: float, ended: float, fits: bool) -> None:
    stored = [Span(1, at(10), at(20)), Span(3, at(40), at(50))]
    judged = judge(interval(began, ended, sequence=2), stored=stored)
    assert judged == ({} if fits else {2: Doubt.OVERLAPS})


def test_same_time_under_many_numbers_is_believed_once() -> None:
    told = [interval(0, 3, gpu_seconds=3, sequence=number) for number in range(50)]
    assert judge(*told) == dict.fromkeys(range(1, 50), Doubt.OVERLAPS)


def test_doubted_interval_takes_no_room_from_the_next() -> None:
    told = [interval(0, 3, gpu_seconds=10**9), interval(0, 3, gpu_seconds=3, sequence=1)]
    assert judge(*told) == {0: Doubt.LONGER_THAN_ITS_TIME}


@given(
    lengths=st.lists(st.tuples(st.integers(0, 40_000_000), st.integers(0, 900)), max_size=60),
    gpus=st.integers(1, 8),
    ahead_ms=st.integers(-29_000, 29_000),
)
def test_honest_meter_is_always_believed(lengths: list[tuple[int, int]], gpus: int, ahead_ms: int) -> None:
    """Microseconds that pass between cuts; a clock up to 29 s off; GPU-seconds rounded as the trainer rounds them."""
    ahead, passed, counted, told = timedelta(milliseconds=ahead_ms), 0, 0, []
    for number, (length, tokens) in enumerate(lengths):
        began, passed = passed, passed + length
        gpu_seconds = (passed * gpus + 500_000) // 1_000_000 - counted
        counted += gpu_seconds
        times = [START + ahead + timedelta(microseconds=each) for each in (began, passed)]
        told.append(
            UsageData(sequence=number, started_at=times[0], ended_at=times[1], gpu_seconds=gpu_seconds, tokens=tokens)
        )
    tokens = sum(each.tokens for each in told)
    life = RunLife(gpus, START, START + timedelta(microseconds=passed), Usage(), tokens)
    assert judge(*told, life=life) == {}


def test_moment_is_clipped_to_the_run_s_life() -> None:
    assert [LIFE.clip(at(seconds)) for seconds in (-20, 50, 120)] == [at(0), at(50), at(100)]


def test_every_doubt_is_explained() -> None:
    assert EXPLANATIONS.keys() == set(Doubt)

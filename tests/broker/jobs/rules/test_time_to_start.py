"""Where the time went until a job trained: every second has one cause, and none is counted twice."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.jobs.rules.time_to_start import Moment, WaitCause, compute_time_to_start

START = datetime(2026, 11, 10, tzinfo=UTC)
KINDS = ("submitted", "dispatched", "paused", "resumed", "started", "run_lost", "cancelled", "sampled")


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def tell(*moments: Moment, now: float = 60) -> dict[WaitCause, float]:
    found = compute_time_to_start(START, moments, at(now))
    return {each.cause: each.seconds / 60 for each in found.segments}


def test_a_job_that_trains_was_queued_and_then_started() -> None:
    told = tell(Moment("submitted", START), Moment("dispatched", at(5)), Moment("started", at(7)))
    assert told == {WaitCause.QUEUED: 5, WaitCause.STARTING: 2}


def test_a_job_that_waits_is_queued_until_now() -> None:
    assert tell(Moment("submitted", START), now=12) == {WaitCause.QUEUED: 12}


def test_a_lost_start_is_queued_again_and_a_pause_is_a_pause() -> None:
    told = tell(
        Moment("submitted", START),
        Moment("paused", at(1)),
        Moment("resumed", at(4)),
        Moment("dispatched", at(5)),
        Moment("run_lost", at(6), after="queued"),
        Moment("dispatched", at(10)),
        Moment("started", at(11)),
    )
    assert told == {WaitCause.QUEUED: 2, WaitCause.STARTING: 2, WaitCause.PAUSED: 3, WaitCause.QUEUED_AGAIN: 4}


def test_time_that_no_event_accounts_for_is_called_so() -> None:
    assert tell(Moment("dispatched", at(5)), Moment("started", at(6))) == {
        WaitCause.UNACCOUNTED: 5,
        WaitCause.STARTING: 1,
    }


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 59)), max_size=12))
def test_the_segments_add_up_to_all_the_time_there_was(told: list[tuple[str, int]]) -> None:
    moments = [Moment(kind, at(minute)) for kind, minute in sorted(told, key=lambda each: each[1])]
    found = compute_time_to_start(START, moments, at(60))
    ends = [each.at for each in moments if each.kind in {"started", "cancelled"}]
    assert found.is_over == bool(ends)
    assert found.seconds == pytest.approx(((ends[0] if ends else at(60)) - START).total_seconds())

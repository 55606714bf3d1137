"""How often the dispatcher plans."""

import pytest

from broker.scheduling.cycle.pace import Pace, compute_rest


@pytest.mark.parametrize(("cycle", "rest"), [(0.0, 0.0), (0.01, 0.03), (0.5, 1.5), (10.0, 5.0)])
def test_dispatcher_rests_so_that_planning_takes_no_more_than_a_quarter_of_a_core(cycle: float, rest: float) -> None:
    assert compute_rest(cycle) == rest


@pytest.mark.parametrize(("cycle", "pause"), [(0.0, 0.0), (0.0625, 1.1875), (0.25, 4.75), (10.0, 5.0)])
def test_jobs_that_could_not_start_are_planned_with_a_twentieth_of_a_core(cycle: float, pause: float) -> None:
    pace = Pace()
    pace.note_cycle(100.0, 100.0 + cycle, starts_more=False)
    assert pace.is_due(100.0 + cycle + pause)
    assert not pace.is_due(100.0 + cycle + pause - 0.125) or pause == 0


def test_jobs_that_could_start_are_planned_at_once() -> None:
    pace = Pace()
    pace.note_cycle(100.0, 101.0, starts_more=True)
    assert pace.is_due(101.0)


def test_a_cycle_that_started_jobs_is_followed_by_the_next_after_a_quarter_of_what_it_took() -> None:
    assert compute_rest(0.25, has_started=True) == 0.0625


@pytest.mark.parametrize(
    ("waiting", "left", "took", "silence"),
    [(500, 0, 100.0, 0.0), (501, 0, 0.25, 4.75), (100_000, 0, 100.0, 120.0), (100_000, 20, 100.0, 6.0)],
)
def test_a_long_line_is_told_with_a_twentieth_of_a_core_and_all_of_it_in_time(
    waiting: int, left: int, took: float, silence: float
) -> None:
    pace = Pace()
    pace.note_told(200.0, took, waiting=waiting, pieces_left=left)
    assert pace.tells(200.0 + silence)
    assert not pace.tells(200.0 + silence - 0.125) or silence == 0


def test_the_last_piece_of_a_long_line_is_told_within_the_longest_silence() -> None:
    """Past fault: each piece had its share of the silence anew, and the last was told after five minutes."""
    pace, now = Pace(), 0.0
    for left in range(19, 0, -1):
        pace.note_told(now, 10.0, waiting=100_000, pieces_left=left)
        now = pace.silent_until
    assert now == pytest.approx(120.0)
    pace.note_told(now, 10.0, waiting=100_000)
    assert pace.silent_until == pytest.approx(now + 120.0)


def test_whoever_waits_is_planned_at_once_when_devices_are_freed() -> None:
    pace = Pace()
    pace.note_cycle(100.0, 101.0, starts_more=False)
    pace.note_freed(101.5)
    assert pace.is_due(101.5)


def test_what_was_freed_while_a_cycle_planned_is_planned_by_the_next() -> None:
    """A cycle that ended after it forgot it, and whether devices were free was asked of the database instead."""
    pace = Pace()
    pace.note_freed(100.5)
    pace.note_cycle(100.0, 101.0, starts_more=False)
    assert pace.is_due(101.0)

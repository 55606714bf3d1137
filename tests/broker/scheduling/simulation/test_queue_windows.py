"""What is left of a queue's GPU-hours in its window, as a replay counts it."""

from datetime import UTC, datetime, timedelta

from broker.scheduling.planning.values.jobs import RunningJob
from broker.scheduling.planning.values.queues import QueueLimits, QueueState
from broker.scheduling.simulation.queue_windows import QueueWindows

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
LIMITS = QueueLimits(gpu_seconds_left=7200, gpu_seconds=7200, window=timedelta(hours=1))
HOUR = timedelta(hours=1)


def make_windows() -> QueueWindows:
    windows = QueueWindows({"standard"})
    windows.tell([QueueState("standard", 100, limits=LIMITS), QueueState("priority", 200, limits=LIMITS)])
    return windows


def make_run(started_at: datetime, *, minutes: int = 10, queue: str = "standard") -> RunningJob:
    return RunningJob("job_a", "con_a", "one", 2, started_at, started_at + timedelta(minutes=minutes), queue=queue)


def test_what_ran_within_the_window_and_what_is_expected_of_who_runs_is_taken_off() -> None:
    windows = make_windows()
    windows.note(make_run(NOON - timedelta(minutes=70)), NOON - timedelta(minutes=50))
    (told,) = windows.list_bounded([make_run(NOON, minutes=5)], NOON)
    assert told.limits.gpu_seconds_left == 7200 - 2 * 600 - 2 * 300
    assert windows.list_bounded([make_run(NOON, minutes=5)], NOON) == [], "nothing has changed"


def test_a_run_is_forgotten_once_its_window_is_over() -> None:
    windows = make_windows()
    windows.note(make_run(NOON - HOUR), NOON)
    assert windows.list_bounded([], NOON)[0].limits.gpu_seconds_left == 0
    assert windows.list_bounded([], NOON + HOUR)[0].limits.gpu_seconds_left == 7200
    assert not windows.held["standard"]


def test_other_queues_and_queues_whose_limit_was_taken_away_are_bounded_by_nothing() -> None:
    windows = make_windows()
    windows.note(make_run(NOON, queue="priority"), NOON + HOUR)
    assert windows.list_bounded([], NOON + HOUR) == []
    windows.tell([QueueState("standard", 100)])
    assert windows.list_bounded([make_run(NOON)], NOON) == []

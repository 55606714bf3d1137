"""What fails many times takes few lines of the log."""

import logging

import pytest

from broker.failure_log import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, MOST_REMEMBERED, FailureLog


def list_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return lines


def test_night_of_failures_is_a_handful_of_lines_with_their_count(caplog: pytest.LogCaptureFixture) -> None:
    """A past fault: a start on a full disk wrote 29 MB, twice a second the same traceback."""
    now = 0.0
    failures = FailureLog(lambda: now)
    for second in range(10 * 3600):
        now = float(second)
        failures.note("the database", OSError(28, "No space left on device"), expected=True)
    lines = list_lines(caplog)
    assert lines[0] == "the database failed and is tried again: [Errno 28] No space left on device"
    assert lines[1] == f"the database failed {FIRST_PAUSE_SECONDS:.0f} more times: [Errno 28] No space left on device"
    assert len(lines) < 20
    failures.settle("the database")
    failures.settle("the database")
    assert list_lines(caplog) == ["the database works again"]


def test_pauses_grow_to_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    failures = FailureLog(lambda: now)
    for _ in range(100):
        failures.note("it", OSError("no"), expected=True)
        now += LONGEST_PAUSE_SECONDS
    assert len(list_lines(caplog)) == 100, "each line after its pause"
    failures.note("it", OSError("no"), expected=True)
    assert list_lines(caplog) == ["it failed 1 more times: no"]
    failures.note("it", OSError("no"), expected=True)
    assert list_lines(caplog) == []


def test_another_reason_is_told_at_once_but_not_for_its_numbers(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog(lambda: 0.0)
    for text in ("process 17 is gone", "process 18 is gone", "the lock is taken"):
        failures.note("it", RuntimeError(text), expected=True)
    failures.note("something else", RuntimeError("process 19 is gone"), expected=True)
    assert [line.rpartition(": ")[2] for line in list_lines(caplog)] == [
        "process 17 is gone",
        "the lock is taken",
        "process 19 is gone",
    ]


def test_only_what_nobody_expected_has_a_traceback_and_only_once(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog(lambda: 0.0)
    for _ in range(3):
        failures.note("it", KeyError("ours"), expected=False)
    (record,) = caplog.records
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)


def test_memory_is_bounded() -> None:
    failures = FailureLog(lambda: 0.0)
    for number in range(2 * MOST_REMEMBERED):
        failures.note(f"job {number}", OSError("no"), expected=True)
    assert len(failures.under_way) == MOST_REMEMBERED

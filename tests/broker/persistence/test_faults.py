"""What failures mean, several at once too, and that a place which tries again tells them alike."""

import logging

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from broker.persistence.faults import Fault, find_fault
from broker.persistence.patience import outlast
from broker.system import System

AWAY = OperationalError(None, None, psycopg.errors.CrashShutdown("another server process crashed"))
BUSY = OperationalError(None, None, psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"))
MISTAKE = KeyError("ours")


@pytest.mark.parametrize(
    ("errors", "fault"),
    [
        ([BUSY], Fault.BUSY),
        ([BUSY, AWAY], Fault.AWAY),
        ([BUSY, MISTAKE], None),
        ([ExceptionGroup("inner", [BUSY, MISTAKE])], None),
    ],
    ids=["busy", "busy and away", "busy and a mistake", "deeper"],
)
def test_several_failures_are_a_mistake_where_one_of_them_is(errors: list[Exception], fault: Fault | None) -> None:
    """A past fault: closings that could not end since others held their locks were told with a traceback."""
    assert find_fault(ExceptionGroup("they cannot end", errors)) == fault


@pytest.mark.parametrize(
    ("error", "has_traceback"),
    [(AWAY, False), (ExceptionGroup("both", [AWAY, BUSY]), False), (MISTAKE, True), (ValueError("theirs"), False)],
    ids=["away", "group", "mistake", "expected"],
)
async def test_only_a_mistake_is_told_with_its_traceback(
    system: System, caplog: pytest.LogCaptureFixture, error: Exception, has_traceback: bool
) -> None:
    system.services.note_failure("it", error, (ValueError,))
    (told,) = caplog.records
    assert bool(told.exc_info) == has_traceback
    assert told.levelno == (logging.ERROR if has_traceback else logging.WARNING)


async def test_what_a_start_needs_is_asked_for_until_the_database_answers(caplog: pytest.LogCaptureFixture) -> None:
    failing = [AWAY, BUSY]

    async def act() -> str:
        if failing:
            raise failing.pop()
        return "done"

    assert await outlast(act) == "done"
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.WARNING, None)] * 2
    failing.append(MISTAKE)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        await outlast(act)

"""How a call that did not go through, or could not be noted, is told in the log."""

import logging

import pytest

from broker.config import Settings
from broker.execution.devices import DevicesBusy
from broker.execution.relay import USUAL_WAITS, Relay, log_failure
from broker.persistence.outbox import PendingMessage
from broker.system import open_system


@pytest.mark.parametrize(
    ("failures", "error", "level"),
    [
        (0, DevicesBusy("0 of 4 are free"), logging.INFO),
        (USUAL_WAITS, DevicesBusy("0 of 4 are free"), logging.WARNING),
        (0, OSError("no such file"), logging.WARNING),
    ],
)
def test_a_launch_that_waits_for_a_run_to_let_go_is_no_warning_until_it_takes_long(
    failures: int, error: Exception, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A past fault: an end and a start on a full pool warned that none of its devices is free."""
    with caplog.at_level(logging.INFO):
        log_failure(PendingMessage(1, "launch", "run_1", failures), error)
    assert [record.levelno for record in caplog.records] == [level]


async def test_a_call_that_cannot_be_noted_while_the_database_is_away_is_no_mistake_of_ours(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A past fault, found by killing PostgreSQL: the log told it with a traceback."""
    away = open_system(settings, "postgresql://broker_app@127.0.0.1:1/nowhere")
    stopped = []

    async def stop(run_id: str) -> None:
        stopped.append(run_id)

    relay = Relay(away, ("agent",), launch=stop, stop=stop)
    await relay._deliver(PendingMessage(1, "stop", "run_1", 0), stop)
    assert stopped == ["run_1"]
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.WARNING, None)]
    await away.database.close()

"""How a call that did not go through is told in the log."""

import logging

import pytest

from broker.execution.devices import DevicesBusy
from broker.execution.relay import USUAL_WAITS, log_failure
from broker.persistence.outbox import PendingMessage


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

"""A line that is written at once is the one that structlog writes."""

import logging
from datetime import UTC, datetime

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.config import Settings
from broker.log_context import bind
from broker.processes.log_lines import TextLines, write_line
from broker.processes.logs import StruckLines, configure_logging

NAMES = st.sampled_from(["actor", "job_id", "ms", "queue", "zone"])
LEVELS = st.sampled_from([logging.DEBUG, logging.CRITICAL])
VALUES = st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.text()))


@pytest.mark.usefixtures("restored")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=20), st.dictionaries(NAMES, VALUES), LEVELS)
def test_line_is_that_of_structlog(event: str, told: dict[str, object], level: int) -> None:
    configure_logging(Settings())
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler.formatter, StruckLines)
    lines = handler.formatter.lines
    assert isinstance(lines, TextLines)
    bind(request_id="req_1", queue="bound")
    record = logging.makeLogRecord(
        {
            "name": "broker.here",
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": "%s",
            "args": (event,),
        }
    )
    record.__dict__.update(told)
    _time, usual = structlog.stdlib.ProcessorFormatter.format(lines, record).split(" ", 1)
    assert lines.format(record).split(" ", 1)[1] == usual


def test_time_is_utc_to_the_microsecond() -> None:
    record = logging.makeLogRecord({"name": "broker.here", "levelname": "INFO", "msg": "started"})
    line = write_line(record, datetime(2026, 11, 24, 10, 0, 0, 25, UTC))
    assert line == "2026-11-24T10:00:00.000025Z [info     ] started [broker.here]"

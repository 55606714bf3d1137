"""One line of the log as text, written at once.

It is the line that structlog's renderer for a console writes, which joins it out of a formatter for each word: for its
two lines that took a sixteenth of a submission. What has a traceback, or is no text, is left to that renderer.
"""

import logging
import re
from datetime import UTC, datetime

import structlog

from broker.log_context import get_bound

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
QUOTED = re.compile(r"[ \t=\r\n\"']")
# What every record has; the rest was told with it (`extra`).
OWN_KEYS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}
WIDEST_LEVEL = len("exception")


class TextLines(structlog.stdlib.ProcessorFormatter):
    """Writes plain records by itself and hands all others on."""

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info or record.exc_text or record.stack_info or not isinstance(record.msg, str):
            return super().format(record)
        return write_line(record, datetime.now(UTC))


def write_line(record: logging.LogRecord, moment: datetime) -> str:
    """Write a record with what is bound around it, in one line: control characters are escaped."""
    told = {**get_bound(), **{name: value for name, value in record.__dict__.items() if name not in OWN_KEYS}}
    words = " ".join(f"{name}={_write_value(told[name])}" for name in sorted(told))
    time = moment.isoformat().removesuffix("+00:00")
    level = record.levelname.lower()
    line = f"{time}Z [{level:<{WIDEST_LEVEL}}] {record.getMessage()} [{record.name}] {words}".rstrip(" ")
    return line if line.isprintable() else escape_control(line)


def _write_value(value: object) -> str:
    if not isinstance(value, str):
        return repr(value)
    plain = value if value.isprintable() else escape_control(value)
    return repr(plain) if QUOTED.search(plain) else plain


def escape_control(text: str) -> str:
    """Escape control characters: what a request says, such as its path, cannot begin a line of its own."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)

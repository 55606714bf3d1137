"""How a line of the log is written, as text or as JSON. Every request has one, so writing it must cost little.

A line carries what is bound around it (`broker.log_context`) and what is told with it (`extra`). A record's own text
cannot begin another line: control characters in it are escaped. The traceback of an exception follows on lines of its
own in text, and stands in the object in JSON.
"""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from broker.log_context import get_context

# What each record has; the rest was told with it. Uvicorn repeats its message in colours.
OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
PLAIN = re.compile(r"""[^\s"'=\\\x00-\x1f\x7f-\x9f\u2028\u2029]+""")
LEVEL_WIDTH = 9
BOLD, DIM, RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"
COLOURS = {"debug": "\x1b[32m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


def _list_told(record: logging.LogRecord) -> dict[str, Any]:
    told = {name: value for name, value in record.__dict__.items() if name not in OWN}
    return {**get_context(), **told}


def _write_moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _write_traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Write the exception, and the stack where one was asked for; empty where there is neither."""
    exception = formatter.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
    stack = formatter.formatStack(record.stack_info) if record.stack_info else ""
    return "\n".join(part for part in (exception, stack) if part)


class TextLines(logging.Formatter):
    """Writes lines for people: moment, level, what happened, who says so, and words with their values."""

    def __init__(self, *, coloured: bool = False) -> None:
        super().__init__()
        self.coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        level, told = record.levelname.lower(), _list_told(record)
        message = CONTROL.sub(_escape, record.getMessage())
        words = "".join(f" {name}={_write_value(told[name])}" for name in sorted(told))
        line = self._compose(_write_moment(record), level, message, record.name) + words
        traceback = _write_traceback(self, record)
        return f"{line}\n{traceback}" if traceback else line

    def _compose(self, moment: str, level: str, message: str, logger: str) -> str:
        if not self.coloured:
            return f"{moment} [{level:<{LEVEL_WIDTH}}] {message} [{logger}]"
        colour = COLOURS.get(level, "")
        return f"{DIM}{moment}{RESET} [{colour}{level:<{LEVEL_WIDTH}}{RESET}] {BOLD}{message}{RESET} [{logger}]"


def _write_value(value: Any) -> str:
    """Write a value so that the line can be read back: what has room for doubt is quoted."""
    written = str(value)
    return written if PLAIN.fullmatch(written) else CONTROL.sub(_escape, repr(value))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


class JsonLines(logging.Formatter):
    """Writes lines for machines: one object each."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            **_list_told(record),
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": _write_moment(record),
        }
        traceback = _write_traceback(self, record)
        if traceback:
            line["exception"] = traceback
        return json.dumps(line, default=str, ensure_ascii=False)

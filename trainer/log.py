"""The run's log is standard output, a line at a time; whoever listens is told each line, too."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str], None]
_listeners: list[Listener] = []


def write_line(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is where the log goes
    for listener in _listeners:
        listener(text)


@contextmanager
def telling(listener: Listener) -> Iterator[None]:
    """Tell a listener each line that is written meanwhile, and each warning that a library logs."""
    handler = WarningLines()
    _listeners.append(listener)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        _listeners.remove(listener)


class WarningLines(logging.Handler):
    """Writes what libraries log as lines, from warnings on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write_line(f"{record.levelname.lower()} {record.name}: {record.getMessage()}")
        except Exception:  # noqa: BLE001 - a message that cannot be written must not end the training
            self.handleError(record)

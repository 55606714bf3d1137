"""The run's log is standard output, a line at a time; whoever listens is told each line, too."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str], None]
_listeners: list[Listener] = []
_secrets: list[str] = []
STRUCK = "[secret]"


def strike(text: str) -> str:
    """Strike the secrets out of a text that this process must tell nobody."""
    for secret in _secrets:
        text = text.replace(secret, STRUCK)
    return text


@contextmanager
def striking(secret: str | None) -> Iterator[None]:
    """Within the block, strike a secret out of each line."""
    known = [] if not secret else [secret]
    _secrets.extend(known)
    try:
        yield
    finally:
        for each in known:
            _secrets.remove(each)


def write_line(text: str) -> None:
    text = strike(text)
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

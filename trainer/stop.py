"""Asking a run to stop: by signal, or by a command of the broker. The recipe looks at the flag before every step."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import FrameType


class StopReason(StrEnum):
    INTERRUPTED = "interrupted"  # Ctrl-C
    PREEMPTED = "preempted"  # SIGTERM
    CANCEL = "cancel"  # from here on: commands of the broker
    PAUSE = "pause"
    LIMIT = "limit"
    BALANCE = "balance"
    BUDGET = "budget"
    CONTRACT_ENDED = "contract_ended"
    ARREARS = "arrears"
    PREEMPT = "preempt"
    QUOTA = "quota"


class StopFlag:
    """Set once; the first reason stands. No lock: a signal may come while the main thread would be holding it."""

    def __init__(self) -> None:
        self._reason: StopReason | None = None

    @property
    def reason(self) -> StopReason | None:
        return self._reason

    def request(self, reason: StopReason) -> None:
        self._reason = self._reason or reason


@contextmanager
def stopping_on_signals(stop: StopFlag) -> Iterator[None]:
    """Within the block SIGTERM and Ctrl-C end the run after the step in hand; a second Ctrl-C ends it at once."""

    def on_terminate(_number: int, _frame: FrameType | None) -> None:
        stop.request(StopReason.PREEMPTED)

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.request(StopReason.INTERRUPTED)

    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, on_terminate),
        signal.SIGINT: signal.signal(signal.SIGINT, on_interrupt),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

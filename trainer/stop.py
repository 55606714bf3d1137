"""Asking a run to stop: by signal, or by a command of the broker. The recipe looks at the flag before every step."""

import signal
import threading
from enum import StrEnum
from types import FrameType


class StopReason(StrEnum):
    INTERRUPTED = "interrupted"  # Ctrl-C
    PREEMPTED = "preempted"  # SIGTERM
    CANCEL = "cancel"  # from here on: commands of the broker
    PAUSE = "pause"
    OUT_OF_BALANCE = "out_of_balance"


class StopFlag:
    """Set once; the first reason stands."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: StopReason | None = None

    @property
    def reason(self) -> StopReason | None:
        return self._reason

    def request(self, reason: StopReason) -> None:
        with self._lock:
            self._reason = self._reason or reason


def stop_on_signals(stop: StopFlag) -> None:
    """SIGTERM and Ctrl-C end the run after the step in hand; a second Ctrl-C ends it at once."""

    def on_terminate(_number: int, _frame: FrameType | None) -> None:
        # Not StopFlag.request: the main thread may be inside it, holding its lock, when the signal arrives.
        stop._reason = stop._reason or StopReason.PREEMPTED  # noqa: SLF001

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop._reason = stop._reason or StopReason.INTERRUPTED  # noqa: SLF001

    signal.signal(signal.SIGTERM, on_terminate)
    signal.signal(signal.SIGINT, on_interrupt)

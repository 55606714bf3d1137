"""The two meters of a run: GPU-seconds on the monotonic clock times the devices, and tokens really trained."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class UsageInterval:
    """What was used between two moments (aware, UTC). Both counts are whole: GPU-seconds, and non-padding tokens.

    `checkpoint_step`: it ends where the checkpoint of this step was written, which keeps all that was done until then.
    """

    started_at: datetime
    ended_at: datetime
    gpu_seconds: int
    tokens: int
    checkpoint_step: int | None = None


def compute_gpu_seconds(held_ns: int, devices: int) -> int:
    """Count the whole GPU-seconds of `devices` held for `held_ns` nanoseconds, rounded half up."""
    return (held_ns * devices + NANOSECONDS // 2) // NANOSECONDS


class Meter:
    """Counts from its making to `close` (the devices are let go), and cuts that into intervals.

    It is made when the devices are ours; by the broker's clock it is `started_at` then. An interval's GPU-seconds are
    the rounded total at its end less the rounded total at its start, so the intervals add up to the rounded whole
    whatever the cuts. Threads: the recipe adds and cuts, the heartbeat cuts.
    """

    def __init__(
        self,
        devices: int,
        *,
        started_at: datetime,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._devices = devices
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self._start_ns = monotonic_ns()
        self._started_at = started_at
        self._closed_ns: int | None = None
        self._cut_ns = 0
        self._tokens = 0
        self._total_tokens = 0

    def add_tokens(self, tokens: int) -> None:
        with self._lock:
            self._tokens += tokens
            self._total_tokens += tokens

    def close(self) -> None:
        """Count no more GPU-seconds: the devices are let go. Closing again changes nothing."""
        with self._lock:
            if self._closed_ns is None:
                self._closed_ns = self._monotonic_ns()

    def cut(self, checkpoint_step: int | None = None) -> UsageInterval | None:
        """Take the interval since the last cut; None while there is no whole unit in it yet (it goes into the next).

        At a checkpoint there is always one, were it empty: it says where that checkpoint's work ends.
        """
        with self._lock:
            held_ns = self._held_ns()
            gpu_seconds = compute_gpu_seconds(held_ns, self._devices) - compute_gpu_seconds(self._cut_ns, self._devices)
            if gpu_seconds == 0 and self._tokens == 0 and checkpoint_step is None:
                return None
            began_at, ended_at = self._moment(self._cut_ns), self._moment(held_ns)
            interval = UsageInterval(began_at, ended_at, gpu_seconds, self._tokens, checkpoint_step)
            self._cut_ns, self._tokens = held_ns, 0
            return interval

    @property
    def total_gpu_seconds(self) -> int:
        with self._lock:
            return compute_gpu_seconds(self._held_ns(), self._devices)

    @property
    def total_tokens(self) -> int:
        with self._lock:
            return self._total_tokens

    def _held_ns(self) -> int:
        end_ns = self._monotonic_ns() if self._closed_ns is None else self._closed_ns
        return end_ns - self._start_ns

    def _moment(self, held_ns: int) -> datetime:
        """Tell the time of a moment of the run, by one reading of the broker's clock: no intervals overlap."""
        return self._started_at + timedelta(microseconds=held_ns // 1000)

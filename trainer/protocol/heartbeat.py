"""The heartbeat: a thread that tells the broker how far the run is and what it used, and hears whether to go on."""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from trainer.errors import BrokerAway, BrokerRefused, ExitCode, FencedOff
from trainer.log import write_line
from trainer.protocol.client import BrokerClient, Cost
from trainer.protocol.meter import Meter
from trainer.protocol.observations import PendingObservations
from trainer.protocol.retry import keep_trying
from trainer.protocol.usage_spool import UsageSpool
from trainer.stop import StopFlag, StopReason

EVENTS_IN_ONE_REQUEST = 500


def leave_at_once(error: FencedOff) -> NoReturn:
    """End the process from whatever thread: the run is another's now, and every file of ours is written atomically."""
    write_line(f"fenced off, stopping: {error}")
    sys.stdout.flush()
    os._exit(ExitCode.FENCED_OFF)


class Heartbeat:
    """Beats at once when started, then every `interval_seconds`, whatever the main thread is busy with."""

    def __init__(
        self,
        client: BrokerClient,
        meter: Meter,
        spool: UsageSpool,
        stop: StopFlag,
        *,
        interval_seconds: float,
        on_fenced: Callable[[FencedOff], None] = leave_at_once,
    ) -> None:
        self._client, self._meter, self._spool, self._stop = client, meter, spool, stop
        self._interval_seconds, self._on_fenced = interval_seconds, on_fenced
        self._closing = threading.Event()
        self._cutting = threading.Lock()
        self._away = False
        self._thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)
        self.progress: dict[str, Any] | None = None
        self.observations = PendingObservations()
        self.cost_so_far: Cost | None = None

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop beating. From here on the spool belongs to the caller's thread."""
        self._closing.set()
        self._thread.join()

    def keep_usage(self, checkpoint_step: int | None = None) -> None:
        """Cut the usage up to now and keep it on disk; at a checkpoint, with its step.

        Threads: beats and the training both cut, so the numbers of intervals follow their time.
        """
        with self._cutting:
            interval = self._meter.cut(checkpoint_step)
            if interval is None:
                return
            try:
                self._spool.append(interval)
            except OSError as error:
                write_line(f"usage cannot be kept on disk, only in memory: {error}")

    def beat(self) -> None:
        """Cut the usage, keep it on disk, and send all that is pending. Raises: as BrokerClient."""
        self.keep_usage()
        while True:
            events, observations = self._spool.list_pending(EVENTS_IN_ONE_REQUEST), self.observations.list_pending()
            reply = self._client.send_heartbeat(self.progress, events, observations)
            self._spool.acknowledge(reply.acknowledged_sequence)
            for interval in reply.quarantined:
                write_line(f"usage interval {interval.sequence} is kept but not charged: {interval.message}")
            self.observations.forget(observations)
            self.cost_so_far = reply.cost_so_far or self.cost_so_far
            if reply.command == "stop":
                self._stop.request(read_stop_reason(reply.reason))
            if len(events) < EVENTS_IN_ONE_REQUEST and not self.observations:
                return

    def deliver_rest(self) -> list[dict[str, Any]]:
        """Cut the last interval, send what is too much for `finish`, and return the usage that is left.

        To be called after `close`. Raises: as BrokerClient.
        """
        self.keep_usage()
        while (
            self.observations.is_more_than_one_request
            or len(self._spool.list_pending(EVENTS_IN_ONE_REQUEST)) == EVENTS_IN_ONE_REQUEST
        ):
            keep_trying(self.beat)
        return self._spool.list_pending(EVENTS_IN_ONE_REQUEST)

    def _loop(self) -> None:
        while True:
            try:
                self.beat()
                self._note_away(None)
            except FencedOff as error:
                self._on_fenced(error)
                return
            except (BrokerAway, BrokerRefused) as error:
                self._note_away(error)
            if self._closing.wait(self._interval_seconds):
                return

    def _note_away(self, error: Exception | None) -> None:
        """Write a line when the broker goes and one when it is back, not one for each beat."""
        if error is not None and not self._away:
            write_line(f"the broker does not take heartbeats; training goes on, usage is kept on disk ({error})")
        if error is None and self._away:
            write_line("the broker takes heartbeats again")
        self._away = error is not None


def read_stop_reason(reason: str | None) -> StopReason:
    """Understand why to stop; a reason that this version does not know keeps the checkpoint, as a pause does."""
    known = set(StopReason) - {StopReason.INTERRUPTED, StopReason.PREEMPTED}
    return next((item for item in known if item == reason), StopReason.PAUSE)

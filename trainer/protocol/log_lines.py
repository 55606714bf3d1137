"""Lines of the log on their way to the broker: a thread of their own sends them, beside the heartbeat."""

import re
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from trainer.errors import BrokerAway, BrokerRefused, FencedOff
from trainer.protocol.client import BrokerClient
from trainer.protocol.observations import clean

LONGEST_LINE = 2_000
CUT = " …"
BETWEEN_WORDS = re.compile(r"[\s\"',;]")  # none of these is in a secret
LINES_IN_ONE_REQUEST = 200
# Of a broker that is away only the newest are kept: they lie in memory. Those that go have their numbers, and count.
KEPT = 5_000
LAST_ATTEMPTS = 3


def cut_line(line: str) -> str:
    """Cut a line that is too long between two of its words: of a secret that is cut in two, nobody knows what is left.

    The broker replaces secrets by how they look as a whole.
    """
    if len(line) <= LONGEST_LINE:
        return line
    cut = line[: LONGEST_LINE + 1 - len(CUT)]
    between = max((found.start() for found in BETWEEN_WORDS.finditer(cut)), default=0)
    return cut[:between] + CUT


class LogLines:
    """The log of this process, told to the broker in batches. Threads: any adds, one sends.

    A broker of before takes no lines; one that refuses them is told no more. Training never waits for them.
    """

    def __init__(
        self,
        client: BrokerClient,
        *,
        first_number: int,
        interval_seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client, self._interval_seconds, self._clock = client, interval_seconds, clock
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._pending: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._next_number = first_number
        self._is_refused = False
        self._thread = threading.Thread(target=self._loop, name="log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, text: str) -> None:
        """Add what was written, line by line; what is empty is left out."""
        at = self._clock().isoformat()
        with self._lock:
            for line in clean(text, len(text)).splitlines():
                if line.strip():
                    told = {"number": self._next_number, "at": at, "text": cut_line(line.rstrip())}
                    self._pending.append(told)
                    self._next_number += 1

    def close(self) -> None:
        """Send what is left, and end the thread; of a broker that is away no more is awaited than a few attempts."""
        self._closing.set()
        self._thread.join()
        for _attempt in range(LAST_ATTEMPTS):
            if self._send_all():
                return

    def _loop(self) -> None:
        while not self._closing.wait(self._interval_seconds):
            self._send_all()

    def _send_all(self) -> bool:
        """Send all that waits; returns whether nothing is left to send."""
        while batch := self._list_first():
            try:
                self._client.send_log(batch)
            except BrokerAway:
                return False
            except (FencedOff, BrokerRefused):
                self._is_refused = True  # the heartbeat acts on what fences off
                return True
            self._forget(batch)
        return True

    def _list_first(self) -> list[dict[str, Any]]:
        with self._lock:
            return [] if self._is_refused else list(self._pending)[:LINES_IN_ONE_REQUEST]

    def _forget(self, told: list[dict[str, Any]]) -> None:
        last = told[-1]["number"]
        with self._lock:
            while self._pending and self._pending[0]["number"] <= last:
                self._pending.popleft()

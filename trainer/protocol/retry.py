"""Trying again while the broker is away."""

import time
from collections.abc import Callable
from typing import TypeVar

from trainer.errors import BrokerAway

Answer = TypeVar("Answer")

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
GIVE_UP_AFTER_SECONDS = 30 * 60.0


def keep_trying(
    call: Callable[[], Answer],
    *,
    give_up_after_seconds: float = GIVE_UP_AFTER_SECONDS,
    wanted: Callable[[], bool] = lambda: True,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Call until it does not raise BrokerAway, pausing longer each time, as long as it is `wanted` and there is time.

    Raises: BrokerAway, when giving up; whatever else the call raises, at once.
    """
    deadline, pause_seconds = monotonic() + give_up_after_seconds, FIRST_PAUSE_SECONDS
    while True:
        try:
            return call()
        except BrokerAway:
            if monotonic() + pause_seconds > deadline or not wanted():
                raise
        sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)

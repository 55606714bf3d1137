"""Trying again while the broker is away."""

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, wait_exponential

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
    deadline = monotonic() + give_up_after_seconds
    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, BrokerAway) and wanted()),
        wait=wait_exponential(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS),
        stop=lambda state: monotonic() + state.upcoming_sleep > deadline,
        sleep=sleep,
        reraise=True,
    )
    return retrying(call)

"""What fails again and again is logged at once, then ever more rarely with a count, and once more when it works."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0
MOST_REMEMBERED = 1000
NUMBERS = re.compile(r"\d+")


@dataclass
class Series:
    """Failures of one thing for one reason. `untold` counts those since the last line in the log."""

    reason: str
    tell_at: float
    pause_seconds: float
    untold: int = 0


@dataclass
class FailureLog:
    """Keeps the log short where one thing fails for one reason many times, as it does on a full disk."""

    monotonic: Callable[[], float] = time.monotonic
    under_way: dict[str, Series] = field(default_factory=dict)

    def note(self, what: str, error: Exception, *, expected: bool) -> None:
        """Log a failure that will be tried again: its reason, and the traceback of one that nobody expected.

        The same reason again is only counted, until its pause is over; numbers in it do not make it another one.
        """
        reason = describe_failure(error)
        series = self.under_way.get(what)
        if series is None or NUMBERS.sub("", series.reason) != NUMBERS.sub("", reason):
            self._begin(what, reason)
            if expected:
                log.warning("%s failed and is tried again: %s", what, reason)
            else:
                log.error("%s failed and is tried again: %s", what, reason, exc_info=error)
            return
        series.untold += 1
        if self.monotonic() >= series.tell_at:
            log.warning("%s failed %s more times: %s", what, series.untold, reason)
            series.untold = 0
            series.pause_seconds = min(2 * series.pause_seconds, LONGEST_PAUSE_SECONDS)
            series.tell_at = self.monotonic() + series.pause_seconds

    def _begin(self, what: str, reason: str) -> None:
        while len(self.under_way) >= MOST_REMEMBERED:
            del self.under_way[next(iter(self.under_way))]
        self.under_way[what] = Series(reason, self.monotonic() + FIRST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS)

    def settle(self, what: str) -> None:
        """Note that something works; where it had failed before, say so."""
        if self.under_way.pop(what, None) is not None:
            log.warning("%s works again", what)


def describe_failure(error: Exception) -> str:
    """Describe an error in one line: what the driver or the system said, without SQL and parameters."""
    said = str(getattr(error, "orig", None) or error).partition("\n")[0]
    return said or type(error).__name__

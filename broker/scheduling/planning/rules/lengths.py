"""How long a run is planned for at most. Pure."""

from datetime import timedelta
from functools import lru_cache

# No run is planned for longer: it keeps the arithmetic inside datetime's range.
LONGEST_RUN = timedelta(days=3650)
LONGEST_SECONDS = int(LONGEST_RUN.total_seconds())


@lru_cache(maxsize=4096)  # jobs that are alike are asked for again and again
def expect_length(seconds: int) -> timedelta:
    """Bound a number of expected seconds to what can be planned."""
    return timedelta(seconds=min(max(seconds, 0), LONGEST_SECONDS))

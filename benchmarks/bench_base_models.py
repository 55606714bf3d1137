"""How long the profiles of all base models take to load: the first look-up of one in a process waits for that.

In process, without the cache that keeps them for the life of a process. The limit is a tenth of a second.
"""

import statistics
import time

from benchmarks.row import Row
from pricing.catalog import load_base_models

LIMIT_MS = 100.0
ROUNDS = 30


def measure() -> list[Row]:
    models = len(load_base_models())
    return [Row(f"load {models} base models, p50", "ms", time_loading(), "limit of 100 ms", LIMIT_MS, 1.0)]


def time_loading() -> float:
    """Measure the median milliseconds of reading and checking every profile."""
    return statistics.median(time_once() for _ in range(ROUNDS))


def time_once() -> float:
    begun = time.perf_counter()
    load_base_models.__wrapped__()
    return 1000 * (time.perf_counter() - begun)

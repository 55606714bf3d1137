"""How long each test took when it last ran; by that, workers take the longest files first.

Workers of pytest-xdist take whole files (`--dist loadfile --no-loadscope-reorder`), in the order of collection. A long
one at the end would keep one of them busy while the others have nothing left.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

KEPT_AS = "lora-broker/seconds"  # in the cache of pytest, `.pytest_cache`
# What tests take of which nothing is known yet, as on a fresh clone.
SLOW_SECONDS, OTHER_SECONDS = 10.0, 0.1


class Lengths:
    """Notes how long tests take, and puts the files first that take longest."""

    def __init__(self, cache: pytest.Cache | None, *, is_worker: bool) -> None:
        self.cache, self.is_worker = cache, is_worker
        self.seconds: dict[str, float] = defaultdict(float)

    def read(self) -> dict[str, float]:
        return {} if self.cache is None else self.cache.get(KEPT_AS, {})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        """Keep what was seen, beside what is known of tests that did not run; workers tell the process that began."""
        if self.cache is not None and self.seconds and not self.is_worker:
            self.cache.set(KEPT_AS, self.read() | {test: round(took, 3) for test, took in self.seconds.items()})

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Order the files, for workers; without them the order is the one that was asked for."""
        if self.is_worker:
            kept = self.read()
            places = rank_files((item.path, expect_seconds(item, kept)) for item in items)
            items.sort(key=lambda item: places[item.path])


def expect_seconds(item: pytest.Item, kept: Mapping[str, float]) -> float:
    """Say how long a test took, or what one of its kind takes."""
    usual = SLOW_SECONDS if item.get_closest_marker("slow") else OTHER_SECONDS
    return kept.get(item.nodeid, usual)


def rank_files(tests: Iterable[tuple[Path, float]]) -> dict[Path, int]:
    """Give each file its place by the seconds of all its tests: the longest first, equal ones as they came."""
    seconds: dict[Path, float] = defaultdict(float)
    for file, took in tests:
        seconds[file] += took
    return {file: place for place, file in enumerate(sorted(seconds, key=lambda file: -seconds[file]))}

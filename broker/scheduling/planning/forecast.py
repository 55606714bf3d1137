"""When each job in line is expected to start, if all take their expected time and nobody else comes. Pure.

Each pool is taken as one: what its nodes leave in pieces is not seen here. In the order of the line nobody behind
starts earlier on any pool that a job could use, so a forecast is rather late where jobs fill gaps.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.scheduling.planning.corrections import correct_end
from broker.scheduling.planning.model import RunningJob, TypeOption, WaitingJob
from broker.scheduling.planning.nodes import PoolBook
from broker.scheduling.planning.order import LONGEST_RUN
from broker.scheduling.planning.placing import expect_length

# A start expected later than this is no forecast worth showing; it also keeps the arithmetic inside datetime's range.
FORECAST_HORIZON = LONGEST_RUN


@dataclass
class PoolForecast:
    """One pool in time: GPUs free at `opens_at`, and those that come free later (ascending).

    `opens_at` None: the job in front has no known start, so nobody behind it has one.
    """

    free: int
    releases: list[tuple[datetime, int]]
    opens_at: datetime | None

    def find_start(self, gpus: int) -> datetime | None:
        if self.opens_at is None or self.free >= gpus:
            return self.opens_at
        free = self.free
        for released_at, released in self.releases:
            free += released
            if free >= gpus:
                return max(self.opens_at, released_at)
        return None

    def occupy(self, gpus: int, start: datetime, end: datetime) -> None:
        released = bisect_right(self.releases, start, key=lambda release: release[0])
        self.free += sum(freed for _, freed in self.releases[:released]) - gpus
        del self.releases[:released]
        insort(self.releases, (end, gpus))


class Forecast:
    """The pools in time, by p50 or by p90; jobs are put in one after another."""

    def __init__(self, free: Mapping[str, int], now: datetime, *, is_late: bool) -> None:
        self.now = now
        self.is_late = is_late
        self.pools = {name: PoolForecast(max(gpus, 0), [], now) for name, gpus in free.items()}

    def add_runs(self, runs: Iterable[RunningJob]) -> None:
        """Add what runs. One that has outlived its prediction is expected to end a while from now."""
        for run in runs:
            end = run.p90_end if self.is_late and run.p90_end is not None else run.p50_end
            if run.pool in self.pools:
                insort(self.pools[run.pool].releases, (correct_end(end, self.now), run.gpus))

    def add_start(self, option: TypeOption, pool: str, gpus: int) -> None:
        """Add a job that starts now; its GPUs are not among those that are free."""
        insort(self.pools[pool].releases, (self.now + self._measure(option), gpus))

    def put(self, job: WaitingJob, pools: Iterable[PoolBook]) -> datetime | None:
        """Put the next job in line where it starts earliest; returns when, None where that cannot be known."""
        names = [pool.state.name for pool in pools]
        options = {pool.state.name: job.shape.find_option(pool.state.sku) for pool in pools}
        found = [(start, name) for name in names if (start := self.pools[name].find_start(job.gpus)) is not None]
        start, chosen = min(found, default=(None, ""))
        if start is not None and start - self.now > FORECAST_HORIZON:
            start = None
        option = options.get(chosen)
        if start is not None and option is not None:
            self.pools[chosen].occupy(job.gpus, start, start + self._measure(option))
        for name in names:
            opens_at = self.pools[name].opens_at
            self.pools[name].opens_at = max(start, opens_at) if start is not None and opens_at is not None else None
        return start

    def _measure(self, option: TypeOption) -> timedelta:
        return expect_length(option.p90_seconds if self.is_late else option.p50_seconds)

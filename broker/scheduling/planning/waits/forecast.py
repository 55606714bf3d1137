"""When each job in line is expected to start, if all take their expected time and nobody else comes. Pure.

GPUs come free node by node, and a job is put on one node (on whole ones where its pool allows that). In the order of
the line nobody behind starts earlier on any pool that a job could use, so a forecast is rather late where jobs fill
gaps.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heapify, heappop, heapreplace

from broker.scheduling.planning.rules.corrections import correct_end
from broker.scheduling.planning.rules.lengths import LONGEST_RUN, expect_length
from broker.scheduling.planning.values.answers import Start
from broker.scheduling.planning.values.jobs import RunningJob, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.waits.pool_forecast import PoolForecast, Turn

# A start expected later than this is no forecast worth showing; it also keeps the arithmetic inside datetime's range.
FORECAST_HORIZON = LONGEST_RUN


@dataclass
class Forecast:
    """The pools in time, by p50 or by p90 (late); jobs are put in one after another.

    `ends` are expected of what runs and of all that were put in, by job; one whose start nobody knows is not among
    them.
    """

    now: datetime
    is_late: bool
    skus: Mapping[str, str]
    pools: Mapping[str, PoolForecast]
    turns: dict[tuple[str, ...], Turn] = field(default_factory=dict)
    ends: dict[str, datetime] = field(default_factory=dict)

    @classmethod
    def of(cls, pools: Iterable[PoolState], now: datetime, *, is_late: bool) -> "Forecast":
        """Make the forecast of pools on which nothing runs yet."""
        by_name = {pool.name: pool for pool in pools}
        skus = {name: pool.sku for name, pool in by_name.items()}
        return cls(now, is_late, skus, {name: PoolForecast.of(pool) for name, pool in by_name.items()})

    def add_runs(self, runs: Iterable[RunningJob]) -> None:
        """Add what runs. One that has outlived its prediction is expected to end a while from now."""
        for run in runs:
            late = correct_end(run.p50_end if run.p90_end is None else run.p90_end, self.now)
            end = late if self.is_late else min(correct_end(run.p50_end, self.now), late)
            self.ends[run.job_id] = end
            if run.pool in self.pools:
                self.pools[run.pool].hold(run.places, run.gpus, end)

    def add_starts(self, starts: Iterable[Start], waiting: Mapping[str, WaitingJob]) -> None:
        """Add jobs that start now."""
        for start in starts:
            end = self._find_end(waiting[start.job_id], start.pool, self.now)
            self.ends[start.job_id] = end
            if start.pool in self.pools:
                self.pools[start.pool].hold(start.places, start.gpus, end)

    def find_start(self, names: Iterable[str], gpus: int) -> datetime | None:
        """Find when a job that came after all that were put in would start on one of these pools."""
        found = [start for name in names if (start := self.pools[name].find_start(gpus, self.now)) is not None]
        return self._bound(min(found, default=None))

    def expect(self, job: WaitingJob, names: tuple[str, ...]) -> datetime | None:
        """Expect when the next job in line starts; None where that cannot be known."""
        turn = self._provide_turn(names)
        found = None if turn.opens_at is None else self._find_earliest(turn, names, job.gpus)
        return None if found is None else self._bound(found[0])

    def put(self, job: WaitingJob, names: tuple[str, ...], not_before: datetime | None = None) -> datetime | None:
        """Put the next job in line where it starts earliest; returns when, None where that cannot be known."""
        turn = self._provide_turn(names)
        found = None if turn.opens_at is None else self._find_earliest(turn, names, job.gpus)
        start = None if found is None else self._bound(max(found[0], not_before or found[0]))
        if found is None or start is None or turn.opens_at is None:
            turn.opens_at = None
            return None
        end = self._find_end(job, found[1], start)
        self.pools[found[1]].occupy(job.gpus, start, end, self.now)
        self.ends[job.job_id] = end
        turn.opens_at = max(turn.opens_at, start)
        return start

    def _provide_turn(self, names: tuple[str, ...]) -> Turn:
        turn = self.turns.get(names)
        if turn is None:
            turn = self.turns[names] = Turn(self.now)
            for name in names:
                self.pools[name].turns.append(turn)
        return turn

    def _find_earliest(self, turn: Turn, names: tuple[str, ...], gpus: int) -> tuple[datetime, str] | None:
        """Find the pool that has so many GPUs first, ties by name."""
        if gpus not in turn.earliest:
            turn.earliest[gpus] = [(self.now, name) for name in names]
            heapify(turn.earliest[gpus])
        entries = turn.earliest[gpus]
        while entries:
            known, name = entries[0]
            start = self.pools[name].find_start(gpus, self.now)
            if start == known:
                return entries[0]
            if start is None:
                heappop(entries)
            else:
                heapreplace(entries, (start, name))
        return None

    def _bound(self, start: datetime | None) -> datetime | None:
        return None if start is None or start - self.now > FORECAST_HORIZON else start

    def _find_end(self, job: WaitingJob, pool: str, start: datetime) -> datetime:
        sku = self.skus.get(pool)
        option = None if sku is None else job.shape.find_option(sku)
        return start if option is None else start + self._measure(option)

    def _measure(self, option: TypeOption) -> timedelta:
        return expect_length(option.p90_seconds if self.is_late else option.p50_seconds)


def bound_starts(early: datetime | None, late: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Have the late start of a job be no earlier than the expected one, and known only where that is.

    Longer runs may let it pass to another pool, and thus start earlier (Graham's anomalies).
    """
    return early, None if early is None or late is None else max(early, late)

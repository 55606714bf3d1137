"""When each job in line is expected to start, if all take their expected time and nobody else comes. Pure.

Each pool is taken as one: what its nodes leave in pieces is not seen here. In the order of the line nobody behind
starts earlier on any pool that a job could use, so a forecast is rather late where jobs fill gaps.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heapify, heappop, heapreplace

from broker.scheduling.planning.rules.corrections import correct_end
from broker.scheduling.planning.rules.lengths import LONGEST_RUN, expect_length
from broker.scheduling.planning.values.jobs import RunningJob, TypeOption, WaitingJob

# A start expected later than this is no forecast worth showing; it also keeps the arithmetic inside datetime's range.
FORECAST_HORIZON = LONGEST_RUN


@dataclass
class Turn:
    """Those who may use the same pools: none starts before `opens_at`. None: the one in front has no known start.

    `earliest` has, by GPUs, the pools by when they have so many free; an entry may be too early, and is put right when
    it is reached.
    """

    opens_at: datetime | None
    earliest: dict[int, list[tuple[datetime, str]]] = field(default_factory=dict)


@dataclass
class PoolForecast:
    """One pool in time: GPUs free now, those that come free later (ascending), and the turns that it is a part of."""

    free: int
    releases: list[tuple[datetime, int]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    def find_start(self, gpus: int, now: datetime) -> datetime | None:
        """Find when so many GPUs are free, not before anybody's turn. None: never, as far as is known."""
        opens_at = now
        for turn in self.turns:
            if turn.opens_at is None:
                return None
            opens_at = max(opens_at, turn.opens_at)
        free = self.free
        if free >= gpus:
            return opens_at
        for released_at, released in self.releases:
            free += released
            if free >= gpus:
                return max(opens_at, released_at)
        return None

    def occupy(self, gpus: int, start: datetime, end: datetime) -> None:
        """Take GPUs from then on."""
        released = bisect_right(self.releases, start, key=lambda release: release[0])
        self.free += sum(freed for _, freed in self.releases[:released]) - gpus
        del self.releases[:released]
        insort(self.releases, (end, gpus))


class Forecast:
    """The pools in time, by p50 or by p90 (late); jobs are put in one after another. `free` GPUs and types by pool."""

    def __init__(self, free: Mapping[str, int], skus: Mapping[str, str], now: datetime, *, is_late: bool) -> None:
        self.now = now
        self.skus = skus
        self.is_late = is_late
        self.pools = {name: PoolForecast(max(gpus, 0)) for name, gpus in free.items()}
        self.turns: dict[tuple[str, ...], Turn] = {}

    def add_runs(self, runs: Iterable[RunningJob]) -> None:
        """Add what runs. One that has outlived its prediction is expected to end a while from now."""
        for run in runs:
            late = correct_end(run.p50_end if run.p90_end is None else run.p90_end, self.now)
            end = late if self.is_late else min(correct_end(run.p50_end, self.now), late)
            if run.pool in self.pools:
                insort(self.pools[run.pool].releases, (end, run.gpus))

    def add_start(self, job: WaitingJob, pool: str, gpus: int) -> None:
        """Add a job that starts now; its GPUs are not among those that are free."""
        insort(self.pools[pool].releases, (self._find_end(job, pool, self.now), gpus))

    def find_start(self, names: Iterable[str], gpus: int) -> datetime | None:
        """Find when a job that came after all that were put in would start on one of these pools."""
        found = [start for name in names if (start := self.pools[name].find_start(gpus, self.now)) is not None]
        return self._bound(min(found, default=None))

    def put(self, job: WaitingJob, names: tuple[str, ...]) -> datetime | None:
        """Put the next job in line where it starts earliest; returns when, None where that cannot be known."""
        turn = self._provide_turn(names)
        found = self._find_earliest(turn, names, job.gpus)
        start = None if found is None else self._bound(found[0])
        if found is None or start is None or turn.opens_at is None:
            turn.opens_at = None
            return None
        self.pools[found[1]].occupy(job.gpus, start, self._find_end(job, found[1], start))
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
        option = job.shape.find_option(self.skus[pool])
        return start if option is None else start + self._measure(option)

    def _measure(self, option: TypeOption) -> timedelta:
        return expect_length(option.p90_seconds if self.is_late else option.p50_seconds)


def bound_starts(early: datetime | None, late: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Have the late start of a job be no earlier than the expected one, and known only where that is.

    Longer runs may let it pass to another pool, and thus start earlier (Graham's anomalies).
    """
    return early, None if early is None or late is None else max(early, late)

"""When a job that came now would be expected to start: by its queue's priority and the GPU type. Pure.

It would stand behind all that wait at its priority or a higher one. So what it is told is rather late than early: a
contract that has had little goes before others, and a small job may fill a gap.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.scheduling.planning.corrections import correct_end
from broker.scheduling.planning.forecast import PoolForecast
from broker.scheduling.planning.model import ClusterSnapshot, CyclePlan, PoolState, TypeOption, WaitingJob

# No start is told that is expected later.
LATEST = timedelta(days=3650)


@dataclass(frozen=True)
class NewcomerStart:
    """When a job of so many GPUs of a type, in a queue of a priority, is expected to start; None: nobody knows."""

    priority: int
    sku: str
    gpus: int
    p50: datetime | None
    p90: datetime | None


def forecast_newcomers(snapshot: ClusterSnapshot, plan: CyclePlan, *, now: datetime) -> list[NewcomerStart]:
    """Forecast the starts of newcomers of one GPU, for each priority of a queue and each type that a pool has."""
    early, late = (_Line(snapshot, plan, now, is_late=is_late) for is_late in (False, True))
    priorities = sorted({queue.priority for queue in snapshot.queues}, reverse=True)
    skus = sorted({pool.sku for pool in snapshot.pools})
    found: list[NewcomerStart] = []
    for priority in priorities:
        early.advance(priority)
        late.advance(priority)
        found += [NewcomerStart(priority, sku, 1, early.find_start(sku, 1), late.find_start(sku, 1)) for sku in skus]
    return found


class _Line:
    """The pools in time with those who wait put in one after another; by p50, or by p90 where it is late."""

    def __init__(self, snapshot: ClusterSnapshot, plan: CyclePlan, now: datetime, *, is_late: bool) -> None:
        self.now, self.is_late = now, is_late
        self.open = {pool.name: pool for pool in snapshot.pools if pool.open}
        self.pools = {name: PoolForecast(max(pool.free_gpus, 0), [], now) for name, pool in self.open.items()}
        waiting = {job.job_id: job for job in snapshot.waiting}
        self._add_runs(snapshot)
        for start in plan.starts:
            if start.pool in self.pools:
                self.pools[start.pool].free -= start.gpus
                end = self._find_end(waiting[start.job_id], self.open[start.pool].sku, now)
                insort(self.pools[start.pool].releases, (end, start.gpus))
        priorities = {queue.name: queue.priority for queue in snapshot.queues}
        known = [waiting[wait.job_id] for wait in plan.waits if wait.expected_start is not None]
        self.ahead = _by_priority(known, priorities)

    def _add_runs(self, snapshot: ClusterSnapshot) -> None:
        for run in snapshot.running:
            end = run.p90_end if self.is_late and run.p90_end is not None else run.p50_end
            if run.pool in self.pools:
                insort(self.pools[run.pool].releases, (correct_end(end, self.now), run.gpus))

    def advance(self, priority: int) -> None:
        """Put in those who wait at a priority; those of higher ones must be there already."""
        for job in self.ahead.pop(priority, ()):
            self._put(job)

    def find_start(self, sku: str, gpus: int) -> datetime | None:
        """Find when a newcomer of a type would start, behind all that were put in."""
        names = [name for name, pool in self.open.items() if pool.sku == sku and pool.total_gpus >= gpus]
        start = min((start for name in names if (start := self.pools[name].find_start(gpus))), default=None)
        return None if start is None or start - self.now > LATEST else start

    def _put(self, job: WaitingJob) -> None:
        names = [pool.name for pool in _list_usable(job, self.open)]
        found = [(start, name) for name in names if (start := self.pools[name].find_start(job.gpus)) is not None]
        start, chosen = min(found, default=(None, ""))
        if start is not None and start - self.now > LATEST:
            start = None
        if start is not None:
            self.pools[chosen].occupy(job.gpus, start, self._find_end(job, self.open[chosen].sku, start))
        for name in names:
            opens_at = self.pools[name].opens_at
            self.pools[name].opens_at = max(start, opens_at) if start is not None and opens_at is not None else None

    def _find_end(self, job: WaitingJob, sku: str, start: datetime) -> datetime:
        option = job.shape.find_option(sku)
        seconds = 0 if option is None else _measure(option, is_late=self.is_late)
        return start + min(timedelta(seconds=min(max(seconds, 0), 2**40)), LATEST)


def _measure(option: TypeOption, *, is_late: bool) -> int:
    return option.p90_seconds if is_late else option.p50_seconds


def _list_usable(job: WaitingJob, pools: Mapping[str, PoolState]) -> Iterator[PoolState]:
    for pool in pools.values():
        if (
            pool.total_gpus >= job.gpus
            and job.pool in (None, pool.name)
            and job.shape.find_option(pool.sku) is not None
        ):
            yield pool


def _by_priority(jobs: Iterable[WaitingJob], priorities: Mapping[str, int]) -> dict[int, list[WaitingJob]]:
    levels: dict[int, list[WaitingJob]] = {}
    for job in jobs:
        levels.setdefault(priorities[job.queue], []).append(job)
    return levels

"""When a job that came now would be expected to start: by its queue's priority and the GPU type. Pure.

It would stand behind all that wait at its priority or a higher one. So what it is told is rather late than early: a
contract that has had little goes before others, and a small job may fill a gap.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from broker.scheduling.planning.values.answers import CyclePlan
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from broker.scheduling.planning.waits.forecast import Forecast, bound_starts


@dataclass(frozen=True)
class NewcomerStart:
    """When a job of so many GPUs of a type, in a queue of a priority, is expected to start; None: nobody knows."""

    priority: int
    sku: str
    gpus: int
    p50: datetime | None
    p90: datetime | None


def forecast_newcomers(snapshot: ClusterSnapshot, plan: CyclePlan, *, now: datetime) -> list[NewcomerStart]:
    """Forecast the starts of newcomers, for each priority of a queue and each type that a pool has.

    They are of one GPU, two, four and so on, up to the largest node of the type.
    """
    early, late = (_Line(snapshot, plan, now, is_late=is_late) for is_late in (False, True))
    priorities = sorted({queue.priority for queue in snapshot.queues}, reverse=True)
    asked = sorted(_list_sizes(snapshot.pools))
    found: list[NewcomerStart] = []
    for priority in priorities:
        early.advance(priority)
        late.advance(priority)
        found += [
            NewcomerStart(priority, sku, gpus, *bound_starts(early.find_start(sku, gpus), late.find_start(sku, gpus)))
            for sku, gpus in asked
        ]
    return found


def _list_sizes(pools: Sequence[PoolState]) -> set[tuple[str, int]]:
    """List the sizes of jobs that are forecast, by type."""
    sizes = {(pool.sku, 1) for pool in pools}
    for pool in pools:
        sizes |= {(pool.sku, 2**power) for power in range(pool.largest.bit_length())}
    return sizes


class _Line:
    """The pools in time with those who wait put in one after another; by p50, or by p90 where it is late."""

    def __init__(self, snapshot: ClusterSnapshot, plan: CyclePlan, now: datetime, *, is_late: bool) -> None:
        self.open = {pool.name: pool for pool in snapshot.pools if pool.open}
        free = {name: max(pool.free_gpus, 0) for name, pool in self.open.items()}
        for start in plan.starts:
            if start.pool in free:
                free[start.pool] -= start.gpus
        waiting = {job.job_id: job for job in snapshot.waiting}
        skus = {name: pool.sku for name, pool in self.open.items()}
        self.forecast = Forecast(free, skus, now, is_late=is_late)
        self.forecast.add_runs(snapshot.running)
        for start in plan.starts:
            if start.pool in free:
                self.forecast.add_start(waiting[start.job_id], start.pool, start.gpus)
        self.usable: dict[tuple[str | None, int, tuple[str | None, ...]], tuple[str, ...]] = {}
        priorities = {queue.name: queue.priority for queue in snapshot.queues}
        known = [waiting[wait.job_id] for wait in plan.waits if wait.expected_start is not None]
        self.ahead = _by_priority(known, priorities)

    def advance(self, priority: int) -> None:
        """Put in those who wait at a priority; those of higher ones must be there already."""
        for job in self.ahead.pop(priority, ()):
            self.forecast.put(job, self._list_usable(job))

    def find_start(self, sku: str, gpus: int) -> datetime | None:
        """Find when a newcomer of a type would start, behind all that were put in."""
        names = [name for name, pool in self.open.items() if pool.sku == sku and pool.largest >= gpus]
        return self.forecast.find_start(names, gpus)

    def _list_usable(self, job: WaitingJob) -> tuple[str, ...]:
        """List the open pools that could take a job when they are empty."""
        key = (job.pool, job.gpus, job.shape.skus)
        if key not in self.usable:
            self.usable[key] = tuple(
                name
                for name, pool in sorted(self.open.items())
                if pool.largest >= job.gpus and job.pool in (None, name) and job.shape.find_option(pool.sku) is not None
            )
        return self.usable[key]


def _by_priority(jobs: Iterable[WaitingJob], priorities: Mapping[str, int]) -> dict[int, list[WaitingJob]]:
    levels: dict[int, list[WaitingJob]] = {}
    for job in jobs:
        levels.setdefault(priorities[job.queue], []).append(job)
    return levels

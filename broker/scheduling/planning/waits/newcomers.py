"""When a job that came now would be expected to start: by its queue's priority and the GPU type. Pure.

It would stand behind all that wait at its priority or a higher one. So what it is told is rather late than early: a
contract that has had little goes before others, and a small job may fill a gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from broker.scheduling.planning.books.nodes import name_nodes
from broker.scheduling.planning.rules.order import find_priority
from broker.scheduling.planning.values.answers import CyclePlan
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from broker.scheduling.planning.waits.batch_turns import BatchedLine
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
    lines = [_Line(snapshot, plan, now, is_late=is_late) for is_late in (False, True)]
    priorities = sorted({queue.priority for queue in snapshot.queues}, reverse=True)
    asked = sorted(_list_sizes(snapshot.pools))
    found: list[NewcomerStart] = []
    for priority in priorities:
        for line in lines:
            line.advance(priority)
        found += [
            NewcomerStart(priority, sku, gpus, *bound_starts(*(line.find_start(priority, sku, gpus) for line in lines)))
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
        self.open = {pool.name: pool for pool in name_nodes(snapshot) if pool.open}
        self.queues = {queue.name: queue for queue in snapshot.queues}
        waiting = {job.job_id: job for job in snapshot.waiting}
        forecast = Forecast.of(self.open.values(), now, is_late=is_late)
        forecast.add_runs(snapshot.running)
        forecast.add_starts(plan.starts, waiting)
        self.usable: dict[tuple[str, str | None, int, tuple[str | None, ...]], tuple[str, ...]] = {}
        self.line = BatchedLine(forecast, snapshot.batches, self._list_usable, self._find_priority)
        self.ahead: dict[int, list[WaitingJob]] = {}
        for wait in plan.waits:
            if wait.expected_start is not None and wait.job_id in waiting:
                job = waiting[wait.job_id]
                self.ahead.setdefault(self._find_priority(job), []).append(job)

    def advance(self, priority: int) -> None:
        """Put in those who wait at a priority or a higher one and are not there yet, the highest first."""
        for level in sorted((level for level in self.ahead if level >= priority), reverse=True):
            for job in self.ahead.pop(level):
                self.line.put(job, self._list_usable(job))

    def find_start(self, priority: int, sku: str, gpus: int) -> datetime | None:
        """Find when a newcomer of a type would start, behind all that were put in."""
        names = tuple(name for name, pool in self.open.items() if pool.sku == sku and pool.largest >= gpus)
        return self.line.expect_newcomer(priority, names, gpus)

    def _find_priority(self, job: WaitingJob) -> int:
        return find_priority(job, self.queues[job.queue])

    def _list_usable(self, job: WaitingJob) -> tuple[str, ...]:
        """List the open pools that could take a job when they are empty."""
        key = (job.queue, job.pool, job.gpus, job.shape.skus)
        if key not in self.usable:
            allowed = self.queues[job.queue].allowed_pools
            self.usable[key] = tuple(
                name
                for name, pool in sorted(self.open.items())
                if pool.largest >= job.gpus
                and job.pool in (None, name)
                and job.shape.find_option(pool.sku) is not None
                and (allowed is None or name in allowed)
            )
        return self.usable[key]

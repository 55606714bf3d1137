"""What runs, as it is planned: the GPUs that it holds of its pool, and what it counts for its contract and queue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush

from broker.scheduling.planning.books.nodes import PoolBook, expect_end
from broker.scheduling.planning.books.shares import ShareBooks
from broker.scheduling.planning.values.jobs import RunningJob


@dataclass(slots=True)
class RunBook:
    """A run as it is planned: `end` is what its GPUs are booked until."""

    run: RunningJob
    end: datetime


class RunBooks:
    """The runs by job, on the books of their pools, contracts and queues."""

    def __init__(self, pools: dict[str, PoolBook], shares: ShareBooks) -> None:
        self.pools = pools
        self.shares = shares
        self.running: dict[str, RunBook] = {}
        self._ends: list[tuple[datetime, str]] = []

    def start(self, run: RunningJob) -> None:
        """Take a job that holds GPUs; one that is known already holds what is said now."""
        self.end(run.job_id)
        booked = self.running[run.job_id] = RunBook(run, run.p50_end if run.p90_end is None else run.p90_end)
        heappush(self._ends, (booked.end, run.job_id))
        self._book(booked, 1)

    def end(self, job_id: str) -> RunningJob | None:
        """Give back what a run holds; answers it, None where it is not known."""
        booked = self.running.pop(job_id, None)
        if booked is None:
            return None
        self._book(booked, -1)
        return booked.run

    @contextmanager
    def rebook(self, is_touched: Callable[[RunningJob], bool]) -> Iterator[list[RunningJob]]:
        """Take runs off the books while their pool or queue changes, and enter them in what that is then.

        What a run was counted as, it must be discounted as: its pool says of which type its GPUs are, its queue whose
        guarantee it is within.
        """
        touched = [booked for booked in self.running.values() if is_touched(booked.run)]
        for booked in touched:
            self._book(booked, -1)
        yield [booked.run for booked in touched]
        for booked in touched:
            self._book(booked, 1)

    def correct_ends(self, now: datetime) -> None:
        """Expect runs that have outlived their prediction to end later."""
        while self._ends and self._ends[0][0] <= now:
            end, job_id = heappop(self._ends)
            booked = self.running.get(job_id)
            if booked is None or booked.end != end:
                continue
            later = expect_end(booked.run, now)
            pool = self.pools.get(booked.run.pool)
            if pool is not None:
                places = pool.list_places(booked.run)
                pool.vacate(job_id, places, end)
                pool.occupy(job_id, places, later)
            booked.end = later
            heappush(self._ends, (later, job_id))

    def _book(self, booked: RunBook, sign: int) -> None:
        """Take what a run holds, or give it back."""
        run, pool = booked.run, self.pools.get(booked.run.pool)
        if pool is not None:
            (pool.occupy if sign > 0 else pool.vacate)(run.job_id, pool.list_places(run), booked.end)
        contract, queue = self.shares.provide_contract(run.contract_id), self.shares.provide_queue(run.queue)
        queue.count(contract, "" if pool is None else pool.state.sku, sign * run.gpus, sign)

"""The jobs that wait: in the order in which they have their turn, and in that in which they may pass. Pure."""

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heapreplace
from itertools import islice

from broker.scheduling.simulation.job import SimulatedJob

# Where a job stands among those that wait: it is asked when the job comes and when it goes. Smaller goes first.
Rank = Callable[[SimulatedJob], float]


def by_submission(job: SimulatedJob) -> float:
    return job.number


def by_estimate(job: SimulatedJob) -> float:
    return job.estimated_seconds


def by_service(job: SimulatedJob) -> float:
    """Rank by the GPU-seconds that the job is thought to need."""
    return job.estimated_seconds * job.gpus


class Ranked:
    """Jobs by rank, then by age."""

    def __init__(self, rank: Rank) -> None:
        self.rank = rank
        self.keys: list[tuple[float, int]] = []

    def add(self, job: SimulatedJob) -> None:
        insort(self.keys, (self.rank(job), job.number))

    def remove(self, job: SimulatedJob) -> None:
        del self.keys[bisect_left(self.keys, (self.rank(job), job.number))]


class Line:
    """Jobs that wait, by rank, then by age. Those that have waited `most_wait_seconds` go before all others, by age.

    `passing` ranks those that may pass one that does not fit; None: nobody may.
    """

    def __init__(self, rank: Rank, *, passing: Rank | None = None, most_wait_seconds: float = math.inf) -> None:
        self.passing = passing
        self.most_wait_seconds = most_wait_seconds
        self.by_age: dict[int, SimulatedJob] = {}
        self.ranked = Ranked(rank)
        self.of_size: dict[int, Ranked] = {}

    def __len__(self) -> int:
        return len(self.by_age)

    def add(self, job: SimulatedJob) -> None:
        """Take in a job that has come after all others."""
        self.by_age[job.number] = job
        self.ranked.add(job)
        if self.passing is not None:
            self.of_size.setdefault(job.gpus, Ranked(self.passing)).add(job)

    def remove(self, job: SimulatedJob) -> None:
        del self.by_age[job.number]
        self.ranked.remove(job)
        if self.passing is not None:
            self.of_size[job.gpus].remove(job)

    def in_order(self, now: float) -> Iterator[SimulatedJob]:
        """Go through the jobs in order; the line must not change meanwhile."""
        aged = set(islice(self.by_age, self._count_overdue(now)))
        yield from (self.by_age[number] for number in sorted(aged))
        yield from (self.by_age[number] for _, number in self.ranked.keys if number not in aged)

    def _count_overdue(self, now: float) -> int:
        count = 0
        for job in self.by_age.values():
            if now - job.submitted_at < self.most_wait_seconds:
                break
            count += 1
        return count

    def in_passing_order(self, most_gpus: int) -> "PassingOrder":
        """Go through those who may pass and need no more GPUs; the line must not change meanwhile."""
        return PassingOrder(self, most_gpus)


class PassingOrder:
    """Those who may pass, by their rank; once one does not fit, all of its size can be skipped at once."""

    def __init__(self, line: Line, most_gpus: int) -> None:
        self.line = line
        self.heads = [
            (*ranked.keys[0], gpus, 0) for gpus, ranked in line.of_size.items() if ranked.keys and gpus <= most_gpus
        ]
        heapify(self.heads)

    def find_next(self) -> SimulatedJob | None:
        """Find who has the turn; `step` or `skip_size` goes on from there."""
        return self.line.by_age[self.heads[0][1]] if self.heads else None

    def step(self) -> None:
        _rank, _number, gpus, index = self.heads[0]
        keys = self.line.of_size[gpus].keys
        if index + 1 < len(keys):
            heapreplace(self.heads, (*keys[index + 1], gpus, index + 1))
        else:
            heappop(self.heads)

    def skip_size(self) -> None:
        heappop(self.heads)

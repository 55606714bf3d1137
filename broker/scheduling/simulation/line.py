"""The jobs that wait, in the order in which a policy looks at them; who has waited too long goes first. Pure."""

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator

from broker.scheduling.simulation.job import SimulatedJob

# Where a job stands among those that wait: it is asked once, when the job comes into the line. Smaller goes first.
Rank = Callable[[SimulatedJob], float]


def by_submission(job: SimulatedJob) -> float:
    return job.number


def by_estimate(job: SimulatedJob) -> float:
    return job.estimated_seconds


def by_service(job: SimulatedJob) -> float:
    """Rank by the GPU-seconds that the job is thought to need."""
    return job.estimated_seconds * job.gpus


class Line:
    """Jobs that wait, by rank, then by age. Those that have waited `most_wait_seconds` go before all others, by age."""

    def __init__(self, rank: Rank, *, most_wait_seconds: float = math.inf) -> None:
        self.rank = rank
        self.most_wait_seconds = most_wait_seconds
        self.by_age: dict[int, SimulatedJob] = {}
        self.ranked: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self.by_age)

    def add(self, job: SimulatedJob) -> None:
        """Take in a job that has come after all others."""
        self.by_age[job.number] = job
        insort(self.ranked, (self.rank(job), job.number))

    def remove(self, job: SimulatedJob) -> None:
        del self.by_age[job.number]
        del self.ranked[bisect_left(self.ranked, (self.rank(job), job.number))]

    def in_order(self, now: float) -> Iterator[SimulatedJob]:
        """Go through the jobs in order; the line must not change meanwhile."""
        overdue = self._count_overdue(now)
        aged = {number for number, _ in zip(self.by_age, range(overdue), strict=False)}
        yield from (self.by_age[number] for number in sorted(aged))
        yield from (self.by_age[number] for _, number in self.ranked if number not in aged)

    def _count_overdue(self, now: float) -> int:
        count = 0
        for job in self.by_age.values():
            if now - job.submitted_at < self.most_wait_seconds:
                break
            count += 1
        return count

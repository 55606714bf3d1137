"""When those that run are expected to end, in order; corrected as they outlive their estimates. Pure."""

import math
from bisect import bisect_left, insort

from broker.scheduling.simulation.cluster import Cluster
from broker.scheduling.simulation.corrections import expect_end
from broker.scheduling.simulation.job import SimulatedJob


class ExpectedEnds:
    """Expected ends and numbers of those that run, ascending; none has passed once `correct` was called."""

    def __init__(self) -> None:
        self.ascending: list[tuple[float, int]] = []
        self.of_job: dict[int, float] = {}

    def add(self, job: SimulatedJob, now: float) -> None:
        self.of_job[job.number] = expect_end(job, now)
        insort(self.ascending, (self.of_job[job.number], job.number))

    def remove(self, job: SimulatedJob) -> None:
        key = (self.of_job.pop(job.number), job.number)
        del self.ascending[bisect_left(self.ascending, key)]

    def correct(self, cluster: Cluster, now: float) -> None:
        """Correct the ends that have passed of jobs that still run."""
        while self.ascending and self.ascending[0][0] <= now:
            job = cluster.running[self.ascending[0][1]]
            self.remove(job)
            self.add(job, now)

    def find_next(self) -> float:
        return self.ascending[0][0] if self.ascending else math.inf

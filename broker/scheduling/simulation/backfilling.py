"""Policies that never preempt: first come, EASY, EASY++, and shortest service first. Pure.

Sources: Lifka: The ANL/IBM SP Scheduling System, 1995 (EASY); Tsafrir, Etsion, Feitelson: Backfilling Using
System-Generated Predictions Rather than User Runtime Estimates, 2007 (EASY++).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from broker.scheduling.planning.layout import Nodes, Places
from broker.scheduling.simulation.cluster import Cluster
from broker.scheduling.simulation.corrections import expect_end
from broker.scheduling.simulation.job import SimulatedJob
from broker.scheduling.simulation.line import Line, Rank


@dataclass(frozen=True)
class Reservation:
    """When the job in front is expected to start, and the nodes as they are then, with it on them."""

    starts_at: float
    nodes: Nodes

    def allows(self, job: SimulatedJob, places: Places, now: float) -> bool:
        """Tell whether a job may start without delaying the one in front; what it takes beside that one is noted."""
        if now + job.estimated_seconds <= self.starts_at:
            return True
        if any(self.nodes.free[number] < gpus for number, gpus in places.items()):
            return False
        self.nodes.take(places)
        return True


def reserve(job: SimulatedJob, cluster: Cluster, now: float) -> Reservation:
    """Reserve for the job in front: where enough is free once those that run have ended as expected."""
    nodes = cluster.nodes.copy()
    for ends_at, number in sorted((expect_end(running, now), running.number) for running in cluster.running.values()):
        nodes.give_back(cluster.running[number].places)
        places = nodes.find_places(job.gpus)
        if places is not None:
            nodes.take(places)
            return Reservation(ends_at, nodes)
    raise AssertionError(f"job {job.job_id} is larger than the cluster")


class Backfilling:
    """Starts jobs in the order of the line until one does not fit; that one is reserved for, and others may pass it.

    `backfill` ranks those that may pass; None: nobody passes, the line is strict.
    """

    def __init__(self, line: Line, backfill: Rank | None) -> None:
        self.line = line
        self.backfill = backfill

    def submit(self, job: SimulatedJob, now: float) -> None:  # noqa: ARG002 (what all policies are told)
        self.line.add(job)

    def end(self, job: SimulatedJob, now: float) -> None:
        """Nothing is kept of those that run."""

    def plan(self, cluster: Cluster, now: float) -> float:
        head = self._start_in_order(cluster, now)
        if head is None or self.backfill is None:
            return math.inf
        if cluster.nodes.free_gpus and len(self.line) > 1:
            self._pass(head, cluster, now)
        return min(expect_end(job, now) for job in cluster.running.values())

    def _start_in_order(self, cluster: Cluster, now: float) -> SimulatedJob | None:
        """Start who fits from the front; answers the first who does not."""
        started: list[SimulatedJob] = []
        head = None
        for job in self.line.in_order(now):
            places = cluster.nodes.find_places(job.gpus)
            if places is None:
                head = job
                break
            cluster.start(job, places, now)
            started.append(job)
        self._leave(started)
        return head

    def _pass(self, head: SimulatedJob, cluster: Cluster, now: float) -> None:
        reservation = reserve(head, cluster, now)
        passed: list[SimulatedJob] = []
        for job in self._list_passers(head, cluster.nodes.free_gpus):
            places = cluster.nodes.find_places(job.gpus)
            if places is not None and reservation.allows(job, places, now):
                cluster.start(job, places, now)
                passed.append(job)
        self._leave(passed)

    def _list_passers(self, head: SimulatedJob, free_gpus: int) -> list[SimulatedJob]:
        assert self.backfill is not None
        small = [job for job in self.line.by_age.values() if job.gpus <= free_gpus and job is not head]
        return sorted(small, key=self.backfill)

    def _leave(self, jobs: Iterable[SimulatedJob]) -> None:
        for job in jobs:
            self.line.remove(job)

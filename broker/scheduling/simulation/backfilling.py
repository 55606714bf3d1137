"""Policies that never preempt: first come, EASY, EASY++, and shortest service first. Pure.

Sources: Lifka: The ANL/IBM SP Scheduling System, 1995 (EASY); Tsafrir, Etsion, Feitelson: Backfilling Using
System-Generated Predictions Rather than User Runtime Estimates, 2007 (EASY++).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from broker.scheduling.simulation.cluster import Cluster
from broker.scheduling.simulation.expected_ends import ExpectedEnds
from broker.scheduling.simulation.job import SimulatedJob
from broker.scheduling.simulation.layout import Nodes, Places
from broker.scheduling.simulation.line import Line, by_estimate


@dataclass(frozen=True)
class Reservation:
    """When the job in front is expected to start, and the nodes as they are then, with it on them."""

    starts_at: float
    nodes: Nodes

    def is_before(self, job: SimulatedJob, now: float) -> bool:
        """Tell whether a job that starts now is expected to end before the reservation."""
        return now + job.estimated_seconds <= self.starts_at


def reserve(job: SimulatedJob, cluster: Cluster, ends: ExpectedEnds) -> Reservation:
    """Reserve for the job in front: where enough is free once those that run have ended as expected.

    All that end at that moment are counted: what they leave over is free to those that pass.
    """
    nodes = cluster.nodes.copy()
    for ends_at, ending in groupby(ends.ascending, key=itemgetter(0)):
        released = [cluster.running[number].places for _, number in ending]
        for places in released:
            nodes.give_back(places)
        if any(nodes.may_fit_after(places, job.gpus) for places in released):
            found = nodes.find_places(job.gpus)
            if found is not None:
                nodes.take(found)
                return Reservation(ends_at, nodes)
    raise AssertionError(f"job {job.job_id} is larger than the cluster")


class Backfilling:
    """Starts jobs in the order of the line until one does not fit; that one is reserved for, and others may pass it."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.ends = ExpectedEnds()

    def submit(self, job: SimulatedJob, now: float) -> None:  # noqa: ARG002 (what all policies are told)
        self.line.add(job)

    def end(self, job: SimulatedJob, now: float) -> None:  # noqa: ARG002
        self.ends.remove(job)

    def plan(self, cluster: Cluster, now: float) -> float:
        self.ends.correct(cluster, now)
        head = self._start_in_order(cluster, now)
        if head is None or self.line.passing is None:
            return math.inf
        if cluster.nodes.free_gpus and len(self.line) > 1:
            self._pass(head, cluster, now)
        return self.ends.find_next()

    def _start_in_order(self, cluster: Cluster, now: float) -> SimulatedJob | None:
        """Start who fits from the front; answers the first who does not."""
        started: list[SimulatedJob] = []
        head = None
        for job in self.line.in_order(now):
            places = cluster.nodes.find_places(job.gpus)
            if places is None:
                head = job
                break
            self._start(job, places, cluster, now)
            started.append(job)
        self._leave(started)
        return head

    def _pass(self, head: SimulatedJob, cluster: Cluster, now: float) -> None:
        """Start those behind the head that do not delay it; of a size that does not fit, none is looked at again."""
        reservation = reserve(head, cluster, self.ends)
        order = self.line.in_passing_order(cluster.nodes.free_gpus)
        passed: list[SimulatedJob] = []
        while (job := order.find_next()) is not None:
            places = cluster.nodes.find_places(job.gpus)
            if places is None:
                order.skip_size()
                continue
            fills = reservation.is_before(job, now)
            if fills or reservation.nodes.has_room(places):
                if not fills:
                    reservation.nodes.take(places)
                self._start(job, places, cluster, now)
                passed.append(job)
                order.step()
            elif self.line.passing is by_estimate:
                order.skip_size()  # all others of this size end later still
            else:
                order.step()
        self._leave(passed)

    def _start(self, job: SimulatedJob, places: Places, cluster: Cluster, now: float) -> None:
        cluster.start(job, places, now)
        self.ends.add(job, now)

    def _leave(self, jobs: Iterable[SimulatedJob]) -> None:
        for job in jobs:
            self.line.remove(job)

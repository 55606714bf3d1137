"""Policies that preempt: at each event those run that should, in order, and others stop and keep their work. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from broker.scheduling.planning.rules.least_attained import find_level, find_seconds_to_next_level
from broker.scheduling.simulation.ageing import age_rank
from broker.scheduling.simulation.cluster import Cluster
from broker.scheduling.simulation.corrections import expect_left
from broker.scheduling.simulation.deadlines import DatedJob, meet_all, place_dated
from broker.scheduling.simulation.job import SimulatedJob
from broker.scheduling.simulation.layout import Contender, Places, place_in_order
from broker.scheduling.simulation.shortest_remaining import compute_remaining_service


class Order(Protocol):
    """Who should run, as things stand."""

    def rank(self, job: SimulatedJob, now: float) -> float:
        """Rank a job, at 0 or above; smaller goes first, and the older of equal ones."""

    def find_change(self, running: SimulatedJob, now: float) -> float:
        """Find when the rank of a running job changes so that others may pass it; infinity for never."""


class BySubmission:
    """The older goes first: nobody is preempted but for a promise."""

    def rank(self, job: SimulatedJob, now: float) -> float:  # noqa: ARG002 (what all orders are asked)
        return job.number

    def find_change(self, running: SimulatedJob, now: float) -> float:  # noqa: ARG002
        return math.inf


@dataclass(frozen=True)
class ByRemainingService:
    """Who needs the fewest GPU-seconds until its end goes first; one that runs only gains by running."""

    aging_slowdown: float

    def rank(self, job: SimulatedJob, now: float) -> float:
        left = expect_left(job, now)
        length = job.count_served(now) + left
        return age_rank(compute_remaining_service(left, job.gpus), now - job.submitted_at, length, self.aging_slowdown)

    def find_change(self, running: SimulatedJob, now: float) -> float:  # noqa: ARG002
        return math.inf


@dataclass(frozen=True)
class ByAttainedService:
    """Who has had the fewest GPU-seconds goes first, by levels; estimates are not asked."""

    levels: Sequence[float]
    aging_slowdown: float

    def rank(self, job: SimulatedJob, now: float) -> float:
        served = job.count_served(now)
        level = 1 + find_level(served * job.gpus, self.levels)
        return age_rank(level, now - job.submitted_at, served, self.aging_slowdown)

    def find_change(self, running: SimulatedJob, now: float) -> float:
        attained = running.count_served(now) * running.gpus
        seconds = find_seconds_to_next_level(attained, running.gpus, self.levels)
        return math.inf if seconds is None else now + running.count_restart_left(now) + seconds


class Preempting:
    """Jobs with a promised deadline run first, the earliest due before the others; then all others in order.

    With `promises`, a deadline is promised when its job comes, if with it all promises can be kept, as far as estimates
    hold. A job whose deadline is not promised runs as if it had none.
    """

    def __init__(self, order: Order, *, promises: bool) -> None:
        self.order = order
        self.promises = promises
        self.live: dict[int, SimulatedJob] = {}
        self.new: list[SimulatedJob] = []

    def submit(self, job: SimulatedJob, now: float) -> None:  # noqa: ARG002 (what all policies are told)
        self.live[job.number] = job
        self.new.append(job)

    def end(self, job: SimulatedJob, now: float) -> None:  # noqa: ARG002
        del self.live[job.number]

    def plan(self, cluster: Cluster, now: float) -> float:
        self._promise(cluster, now)
        placed = self._place(cluster, now)
        for job in list(cluster.running.values()):
            if placed.get(job.number) != job.places:
                cluster.stop(job, now)
        for number, places in placed.items():
            if self.live[number].started_at is None:
                cluster.start(self.live[number], places, now)
        return min((self.order.find_change(job, now) for job in cluster.running.values()), default=math.inf)

    def _promise(self, cluster: Cluster, now: float) -> None:
        for job in self.new:
            if self.promises and job.deadline_at is not None:
                dated = [*self._list_dated(now), _date(job, job.deadline_at, now)]
                job.promised = meet_all(dated, cluster.nodes, now, restart_seconds=cluster.restart_seconds)
        self.new.clear()

    def _list_dated(self, now: float) -> list[DatedJob]:
        promised = (job for job in self.live.values() if job.promised)
        return [_date(job, job.deadline_at, now) for job in promised if job.deadline_at is not None]

    def _place(self, cluster: Cluster, now: float) -> dict[int, Places]:
        dated = sorted(self._list_dated(now), key=lambda job: job.urgency)
        placed = place_dated(dated, cluster.nodes)
        room = cluster.nodes.empty_copy()
        for places in placed.values():
            room.take(places)
        unpromised = (job for job in self.live.values() if not job.promised)
        others = sorted(unpromised, key=lambda job: (self.order.rank(job, now), job.number))
        contenders = (Contender(job.number, job.gpus, job.places) for job in others)
        return placed | place_in_order(contenders, room, cluster.nodes.free)


def _date(job: SimulatedJob, due_at: float, now: float) -> DatedJob:
    return DatedJob(
        number=job.number,
        gpus=job.gpus,
        left_seconds=expect_left(job, now),
        due_at=due_at,
        places=job.places,
        restart_seconds=job.count_restart_left(now),
        has_run=job.runs > 0,
    )

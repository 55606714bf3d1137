"""The planner that plans live, asked on the virtual clock of the simulation. Pure."""

import math
from datetime import UTC, datetime, timedelta

from broker.scheduling.planning.model import (
    ClusterSnapshot,
    PoolState,
    QueueState,
    RunningJob,
    Shape,
    WaitingJob,
)
from broker.scheduling.planning.plan import plan_cycle
from broker.scheduling.simulation.cluster import Cluster
from broker.scheduling.simulation.corrections import expect_end
from broker.scheduling.simulation.job import SimulatedJob

BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
POOL = "simulated"
QUEUE = QueueState("standard", 100)


class TodaysPlanner:
    """One queue and one pool; an owner is a contract. What the plan starts is started where its nodes allow it."""

    def __init__(self) -> None:
        self.waiting: dict[str, tuple[SimulatedJob, WaitingJob]] = {}

    def submit(self, job: SimulatedJob, now: float) -> None:
        shape = Shape.of_any_type(job.gpus, math.ceil(job.estimated_seconds))
        self.waiting[job.job_id] = job, WaitingJob(job.job_id, job.owner, QUEUE.name, shape, _as_date(now))

    def end(self, job: SimulatedJob, now: float) -> None:
        """Nothing is kept of those that run: the snapshot names them."""

    def plan(self, cluster: Cluster, now: float) -> float:
        if self.waiting and cluster.nodes.free_gpus:
            for start in plan_cycle(self._take_snapshot(cluster, now), now=_as_date(now)).starts:
                job, _ = self.waiting[start.job_id]
                places = cluster.nodes.find_places(job.gpus)
                if places is not None:
                    cluster.start(job, places, now)
                    del self.waiting[start.job_id]
        return math.inf

    def _take_snapshot(self, cluster: Cluster, now: float) -> ClusterSnapshot:
        pool = PoolState(POOL, POOL, sum(cluster.nodes.sizes), cluster.nodes.free_gpus)
        running = tuple(_describe_running(job, now) for job in cluster.running.values())
        return ClusterSnapshot((pool,), (QUEUE,), tuple(waiting for _, waiting in self.waiting.values()), running)


def _describe_running(job: SimulatedJob, now: float) -> RunningJob:
    assert job.started_at is not None
    return RunningJob(
        job.job_id, job.owner, POOL, job.gpus, _as_date(job.started_at), p50_end=_as_date(expect_end(job, now))
    )


def _as_date(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)

"""The planner that plans live, asked on the virtual clock of the simulation. Pure."""

import math
from datetime import UTC, datetime, timedelta

from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.values.jobs import Place, RunningJob, Shape, WaitingJob
from broker.scheduling.planning.values.pools import Discipline, Node, PoolState
from broker.scheduling.planning.values.queues import QueueState
from broker.scheduling.simulation.cluster import Cluster
from broker.scheduling.simulation.job import SimulatedJob
from broker.scheduling.simulation.layout import Nodes, Places

BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
POOL = "simulated"
QUEUE = "standard"


class TodaysPlanner:
    """One queue and one pool; an owner is a contract. The planner is told what happens, as in a live cycle."""

    def __init__(
        self, nodes: Nodes, discipline: Discipline = Discipline.FAIR, *, max_wait_seconds: float = math.inf
    ) -> None:
        self.planner = Planner()
        self.planner.change(_describe_pool(nodes, discipline))
        max_wait = None if max_wait_seconds == math.inf else timedelta(seconds=max_wait_seconds)
        self.planner.change(QueueState(QUEUE, 100, max_wait=max_wait))
        self.waiting: dict[str, SimulatedJob] = {}

    def submit(self, job: SimulatedJob, now: float) -> None:
        shape = Shape.of_any_type(job.gpus, math.ceil(job.estimated_seconds))
        self.waiting[job.job_id] = job
        self.planner.submit(WaitingJob(job.job_id, job.owner, QUEUE, shape, _as_date(now)))

    def end(self, job: SimulatedJob, now: float) -> None:  # noqa: ARG002 (what all policies are told)
        self.planner.end(job.job_id)

    def plan(self, cluster: Cluster, now: float) -> float:
        if self.waiting and cluster.nodes.free_gpus:
            for start in self.planner.plan(_as_date(now)).starts:
                job = self.waiting.pop(start.job_id)
                cluster.start(job, _read_places(start.places), now)
                self.planner.start(_describe_run(job, start.places, now))
        return math.inf


def _describe_pool(nodes: Nodes, discipline: Discipline) -> PoolState:
    total = sum(nodes.sizes)
    named = tuple(Node(_name_node(number), size) for number, size in enumerate(nodes.sizes))
    return PoolState(POOL, POOL, total, total, nodes=named, discipline=discipline, spans_nodes=True)


def _describe_run(job: SimulatedJob, places: tuple[Place, ...], now: float) -> RunningJob:
    return RunningJob(
        job.job_id,
        job.owner,
        POOL,
        job.gpus,
        _as_date(now),
        p50_end=_as_date(now + math.ceil(job.estimated_seconds)),
        queue=QUEUE,
        places=places,
        submitted_at=_as_date(job.submitted_at),
    )


def _name_node(number: int) -> str:
    return f"{number:06}"


def _read_places(places: tuple[Place, ...]) -> Places:
    return {int(place.node): place.gpus for place in places}


def _as_date(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)

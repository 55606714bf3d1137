"""One simulation: a trace, a cluster and a policy in; measures, and the jobs that could not be tried, out. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.simulation.backfilling import Backfilling
from broker.scheduling.simulation.cluster import Cluster
from broker.scheduling.simulation.estimates import Estimates, PerfectEstimates, PredictedEstimates, UserEstimates
from broker.scheduling.simulation.layout import Nodes
from broker.scheduling.simulation.line import Line, Rank, by_estimate, by_service, by_submission
from broker.scheduling.simulation.measures import EndedJob
from broker.scheduling.simulation.policy import Backfill, Deadlines, PolicySettings
from broker.scheduling.simulation.preempting import (
    ByAttainedService,
    ByRemainingService,
    BySubmission,
    Order,
    Preempting,
)
from broker.scheduling.simulation.replay import Policy, replay
from broker.scheduling.simulation.todays_planner import TodaysPlanner
from broker.scheduling.simulation.trace import TraceJob


class EstimateKind(StrEnum):
    """Where estimates of run times come from."""

    USER = "user"
    PERFECT = "perfect"
    PREDICTED = "predicted"


class BeyondCalendar(ValueError):
    """A trace whose jobs would end when no calendar reaches: its units, most likely, are others than was said."""


@dataclass(frozen=True)
class Setup:
    """What jobs are replayed on, and under what."""

    total_gpus: int
    node_size: int
    policy: PolicySettings
    estimates: EstimateKind


@dataclass(frozen=True)
class Outcome:
    """The jobs that ended, in order of their ends; and those that are larger than the cluster, which were left out."""

    ended: tuple[EndedJob, ...]
    too_large: tuple[TraceJob, ...]


ESTIMATES: dict[EstimateKind, type[Estimates]] = {
    EstimateKind.USER: UserEstimates,
    EstimateKind.PERFECT: PerfectEstimates,
    EstimateKind.PREDICTED: PredictedEstimates,
}
RANKS: dict[Discipline, Rank] = {
    Discipline.FIRST_COME: by_submission,
    Discipline.SHORTEST_REMAINING: by_service,
}
BACKFILL_RANKS: dict[Backfill, Rank | None] = {
    Backfill.NONE: None,
    Backfill.FIRST_COME: by_submission,
    Backfill.SHORTEST_FIRST: by_estimate,
}


def simulate(jobs: Iterable[TraceJob], setup: Setup) -> Outcome:
    """Replay jobs, in order of submission. Jobs that fit on no idle cluster are left out. Raises: BeyondCalendar."""
    nodes = Nodes(setup.total_gpus, setup.node_size)
    fitting: list[TraceJob] = []
    too_large: list[TraceJob] = []
    for job in jobs:
        (fitting if nodes.can_ever_place(job.gpus) else too_large).append(job)
    cluster = Cluster(nodes, restart_seconds=setup.policy.restart_s)
    try:
        ended = replay(fitting, cluster, make_policy(setup.policy, nodes), ESTIMATES[setup.estimates]())
    except OverflowError as error:
        raise BeyondCalendar("its jobs would end after the year 9999: are its units right?") from error
    return Outcome(tuple(ended), tuple(too_large))


def make_policy(settings: PolicySettings, nodes: Nodes) -> Policy:
    """Make the policy that the settings describe."""
    if settings.preempt:
        return Preempting(make_order(settings), promises=settings.deadlines is Deadlines.PROMISE)
    if settings.backfill is Backfill.PLANNER:
        return TodaysPlanner(nodes, settings.discipline, max_wait_seconds=settings.max_wait_seconds)
    passing = BACKFILL_RANKS[settings.backfill]
    return Backfilling(Line(RANKS[settings.discipline], passing=passing, most_wait_seconds=settings.max_wait_seconds))


def make_order(settings: PolicySettings) -> Order:
    """Make the order in which jobs should run where they are preempted."""
    if settings.discipline is Discipline.SHORTEST_REMAINING:
        return ByRemainingService(settings.aging_slowdown)
    if settings.discipline is Discipline.LEAST_ATTAINED:
        return ByAttainedService(settings.levels_gpu_s, settings.aging_slowdown)
    return BySubmission()

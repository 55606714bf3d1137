"""Whom to stop so that a job may start: those whose lost work costs least, on one node. Pure.

Only jobs that borrow are stopped for a guarantee, and by a discipline of service only those that rank behind. Nobody is
stopped twice in a short while: a run has a least time, a pool a number of stops that are left. So there are no loops: a
job that was stopped keeps its age, and what stopped it ranks before it until it ends.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.scheduling.planning.rules.corrections import correct_end
from broker.scheduling.planning.rules.least_attained import DEFAULT_LEVELS, find_level
from broker.scheduling.planning.rules.order import BY_SERVICE, MOST_SLOWDOWN, SHORTEST_SERVICE, compute_service
from broker.scheduling.planning.values.answers import Preemption
from broker.scheduling.planning.values.jobs import RunningJob, WaitingJob
from broker.scheduling.planning.values.pools import Discipline

# A job by remaining service stops only those that need so many times as much: otherwise near equals take turns.
LEAD = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run that may be stopped, with the price of what would be lost. Units: micro-yuan."""

    run: RunningJob
    gpus: int
    price: int


def price_lost_work(run: RunningJob, now: datetime) -> int:
    """Price what is lost if a run is stopped now: what it did since its last checkpoint, and a restart, at its rate.

    Units: micro-yuan.
    """
    since = run.started_at if run.checkpoint_at is None else max(run.checkpoint_at, run.started_at)
    lost = max(0, round((now - since).total_seconds())) + run.restart_seconds
    return lost * run.gpus * run.rate_micros


def choose_victims(candidates: Iterable[Candidate], need: int) -> tuple[Candidate, ...] | None:
    """Choose whom to stop to free so many GPUs of one node: at the least price, then the fewest; None: too few.

    Ties fall by id.
    """
    best: list[tuple[int, int, tuple[str, ...], tuple[Candidate, ...]] | None] = [None] * (need + 1)
    best[0] = (0, 0, (), ())
    for candidate in sorted(candidates, key=lambda each: each.run.job_id):
        for have in range(need, -1, -1):
            known = best[have]
            if known is None:
                continue
            freed = min(need, have + candidate.gpus)
            price, number, names, chosen = known
            option = (price + candidate.price, number + 1, (*names, candidate.run.job_id), (*chosen, candidate))
            present = best[freed]
            if freed != have and (present is None or option[:3] < present[:3]):
                best[freed] = option
    found = best[need]
    return None if found is None else found[3]


def may_stop(run: RunningJob, job: WaitingJob, discipline: Discipline, now: datetime) -> bool:
    """Tell whether a job ranks so far before a run, under a discipline by service, that it may stop it.

    A run that was slowed down as much as anybody may be is not stopped again.
    """
    if discipline not in BY_SERVICE or _is_at_bound(run, now):
        return False
    ours, theirs = compute_service(job, discipline), _measure_service(run, discipline, now)
    return ours * LEAD <= theirs if discipline == Discipline.SHORTEST_REMAINING else ours < theirs


def _measure_service(run: RunningJob, discipline: Discipline, now: datetime) -> int:
    if discipline == Discipline.LEAST_ATTAINED:
        seconds = run.seconds_done + (now - run.started_at).total_seconds()
        return find_level(run.gpus * seconds, DEFAULT_LEVELS)
    return run.gpus * round((correct_end(run.p50_end, now) - now).total_seconds())


def _is_at_bound(run: RunningJob, now: datetime) -> bool:
    submitted_at = run.started_at if run.submitted_at is None else run.submitted_at
    length = timedelta(seconds=run.seconds_done) + max(run.p50_end - run.started_at, SHORTEST_SERVICE)
    return now - submitted_at >= MOST_SLOWDOWN * length


def tell_preemptions(
    job: WaitingJob, victims: Sequence[Candidate], node: str, grace: timedelta, *, within_guarantee: bool
) -> list[Preemption]:
    """Tell who is stopped for whom, in which time, and what that loses."""
    return [
        Preemption(
            each.run.job_id,
            job.job_id,
            each.run.pool,
            node,
            each.gpus,
            round(grace.total_seconds()),
            each.price,
            job.gpus,
            within_guarantee,
        )
        for each in victims
    ]

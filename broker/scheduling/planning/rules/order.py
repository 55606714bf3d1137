"""Who goes before whom: the key by which waiting jobs are compared, by discipline. Pure.

A key begins with its tier: jobs that lost their machine by our doing, then those within a guarantee, then those that
have waited as long as their queue allows, which crosses all priorities, then all others. Ties end at the job's id.
"""

from datetime import datetime, timedelta

from broker.scheduling.planning.rules.least_attained import DEFAULT_LEVELS, find_level
from broker.scheduling.planning.rules.lengths import LONGEST_SECONDS
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.planning.values.queues import QueueState

# tier, priority (negated), share or service, moment, job id
Key = tuple[int, int, int, datetime, str]

EXPEDITED, GUARANTEED, OVERDUE, ORDINARY = range(4)
# A GPU that is held counts as much as an hour that was used: who holds many waits, however little it used before.
HELD_MICROSECONDS = 3600 * 10**6
SHARE_SCALE = 10**6
# Under the disciplines by service a job waits at most so many times as long as it runs before it goes first.
MOST_SLOWDOWN = 20
SHORTEST_SERVICE = timedelta(minutes=10)
BY_SERVICE = (Discipline.SHORTEST_REMAINING, Discipline.LEAST_ATTAINED)


def compute_share(usage: int, held_gpus: int, weight: int) -> int:
    """Compute how much a contract has had of what it is due; the least goes first.

    Units: decayed GPU-microseconds, GPUs, hundredths; the share has no unit.
    """
    return (usage + held_gpus * HELD_MICROSECONDS) * SHARE_SCALE // weight


def compute_service(job: WaitingJob, discipline: Discipline) -> int:
    """Compute what ranks a job under a discipline by service: GPU-seconds still needed, or the level had."""
    if discipline == Discipline.LEAST_ATTAINED:
        return find_level(job.gpus * job.seconds_done, DEFAULT_LEVELS)
    return job.gpus * job.shape.p50_seconds


def compute_rank_within_class(job: WaitingJob, discipline: Discipline) -> int:
    """Rank a job among those of its class, before age counts: one that lost its machine first, then by service."""
    if job.expedited:
        return -1
    return compute_service(job, discipline) if discipline in BY_SERVICE else 0


def find_due(job: WaitingJob, queue: QueueState, discipline: Discipline) -> datetime | None:
    """Find when a job has waited long enough to go before all others; None: never."""
    allowed = queue.max_wait
    if discipline in BY_SERVICE:
        seconds = min(job.shape.p50_seconds + job.seconds_done, LONGEST_SECONDS // MOST_SLOWDOWN)
        slowed = MOST_SLOWDOWN * max(timedelta(seconds=seconds), SHORTEST_SERVICE)
        allowed = slowed if allowed is None else min(allowed, slowed)
    return None if allowed is None else job.submitted_at + allowed


def find_priority(job: WaitingJob, queue: QueueState) -> int:
    """Find the priority of a job: its own, or its queue's."""
    return queue.priority if job.priority is None else job.priority


def rank_ordinary(job: WaitingJob, queue: QueueState, discipline: Discipline, share: int) -> Key:
    """Rank a job that nothing puts before others."""
    if discipline == Discipline.FAIR:
        return ORDINARY, -find_priority(job, queue), share, job.submitted_at, job.job_id
    if discipline == Discipline.FIRST_COME:
        return ORDINARY, 0, 0, job.submitted_at, job.job_id
    return ORDINARY, 0, compute_service(job, discipline), job.submitted_at, job.job_id

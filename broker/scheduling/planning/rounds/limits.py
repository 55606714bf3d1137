"""Which limit of its queue, or which quota of its contract, keeps a job from starting. Pure."""

from enum import StrEnum

from broker.scheduling.planning.books.classes import JobClass
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.queues import NO_LIMITS


class Limit(StrEnum):
    """Which limit keeps a class from starting more."""

    QUEUE_JOBS = "queue_jobs"
    QUEUE_GPUS = "queue_gpus"
    QUEUE_HOURS = "queue_hours"
    QUOTA = "quota"


def find_limit(job_class: JobClass, job: WaitingJob) -> Limit | None:
    """Find the limit of its queue, or the quota of its contract, that a job would pass if it started."""
    queue, contract = job_class.queue, job_class.contract
    limits = NO_LIMITS if queue.state is None else queue.state.limits
    quota = contract.share.most_gpus
    if limits.jobs is not None and queue.jobs >= limits.jobs:
        return Limit.QUEUE_JOBS
    if limits.gpus is not None and queue.gpus + job.gpus > limits.gpus:
        return Limit.QUEUE_GPUS
    if limits.gpu_seconds_left is not None and limits.gpu_seconds_left <= 0:
        return Limit.QUEUE_HOURS
    if quota is not None and contract.held + job.gpus > quota:
        return Limit.QUOTA
    return None

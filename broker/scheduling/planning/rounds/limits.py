"""Which limit of its queue, or which quota of its contract, keeps a job from starting. Pure."""

from enum import StrEnum

from broker.scheduling.planning.books.classes import JobClass
from broker.scheduling.planning.books.shares import ContractBook
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.queues import NO_LIMITS, ContractShare, QueueState


class Limit(StrEnum):
    """Which limit keeps a class from starting more."""

    QUEUE_JOBS = "queue_jobs"
    QUEUE_GPUS = "queue_gpus"
    QUEUE_HOURS = "queue_hours"
    QUOTA = "quota"
    QUOTA_JOBS = "quota_jobs"


def find_limit(job_class: JobClass, job: WaitingJob) -> Limit | None:
    """Find the limit of its queue, or the quota of its contract, that a job would pass if it started."""
    queue, contract = job_class.queue, job_class.contract
    limits = NO_LIMITS if queue.state is None else queue.state.limits
    if limits.jobs is not None and queue.jobs >= limits.jobs:
        return Limit.QUEUE_JOBS
    if limits.gpus is not None and queue.gpus + job.gpus > limits.gpus:
        return Limit.QUEUE_GPUS
    left = limits.gpu_seconds_left
    if left is not None and left - queue.gpu_seconds < count_gpu_seconds(job):
        return Limit.QUEUE_HOURS
    return find_quota(contract, job)


def find_quota(contract: ContractBook, job: WaitingJob) -> Limit | None:
    """Find the quota of a contract that a job would pass if it started."""
    share = contract.share
    if share.most_jobs is not None and contract.jobs >= share.most_jobs:
        return Limit.QUOTA_JOBS
    if share.most_gpus is not None and contract.held + job.gpus > share.most_gpus:
        return Limit.QUOTA
    return None


def find_hopeless(queue: QueueState | None, share: ContractShare, job: WaitingJob) -> Limit | None:
    """Find the limit or quota that a job would pass by itself, so that waiting never ends it."""
    limits = NO_LIMITS if queue is None else queue.limits
    if limits.gpus is not None and job.gpus > limits.gpus:
        return Limit.QUEUE_GPUS
    if limits.gpu_seconds is not None and count_gpu_seconds(job) > limits.gpu_seconds:
        return Limit.QUEUE_HOURS
    if share.most_gpus is not None and job.gpus > share.most_gpus:
        return Limit.QUOTA
    return None


def count_gpu_seconds(job: WaitingJob) -> int:
    """Count what a job is expected to take of a queue's window, on the type on which it takes least."""
    return job.shape.p50_seconds * job.gpus

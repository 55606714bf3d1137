"""Which waiting jobs the limits of their queue never let start, though there is a pool that could take them. Pure."""

from collections.abc import Iterable, Sequence

from broker.scheduling.planning.books.nodes import PoolBook
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import QueueState


def list_stranded(queue: QueueState, waiting: Iterable[WaitingJob], pools: Sequence[PoolState]) -> list[WaitingJob]:
    """List the jobs of a queue that waiting alone never starts, by its limits: the largest number of GPUs, the pools.

    Whether a pool is open just now does not count: it may be opened.
    """
    books = [PoolBook(pool) for pool in pools]
    return [job for job in waiting if job.queue == queue.name and _is_stranded(queue, job, books)]


def _is_stranded(queue: QueueState, job: WaitingJob, pools: Iterable[PoolBook]) -> bool:
    fitting = [pool.state.name for pool in pools if _could_take(pool, job)]
    if not fitting:
        return False
    most, allowed = queue.limits.gpus, queue.allowed_pools
    return (most is not None and job.gpus > most) or (allowed is not None and allowed.isdisjoint(fitting))


def _could_take(pool: PoolBook, job: WaitingJob) -> bool:
    is_named = job.pool in (None, pool.state.name)
    return is_named and job.shape.find_option(pool.state.sku) is not None and pool.could_fit(job.gpus)

"""Which waiting jobs a rule of their queue or contract, or the pools that there are, never let start. Pure."""

from broker.scheduling.planning.books.nodes import PoolBook
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.queues import ContractShare
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from broker.scheduling.planning.waits.reasons import explain_hopeless, explain_misfit


def list_stranded(snapshot: ClusterSnapshot) -> list[WaitingJob]:
    """List the jobs that waiting alone never starts, the oldest first; those whom batches hold back are among them.

    Whether a pool or queue is open just now does not count: it may be opened.
    """
    books = [PoolBook(pool) for pool in snapshot.pools]
    queues = {queue.name: queue for queue in snapshot.queues}
    shares = {share.contract_id: share for share in snapshot.shares}
    waiting = [*snapshot.waiting, *(job for batch in snapshot.batches for job in batch.held)]

    def is_stranded(job: WaitingJob) -> bool:
        named = [pool for pool in books if job.pool in (None, pool.state.name)]
        typed = [pool for pool in named if job.shape.find_option(pool.state.sku) is not None]
        queue, share = queues.get(job.queue), shares.get(job.contract_id) or ContractShare(job.contract_id)
        if queue is None or explain_misfit(job, named, typed) is not None:
            return True
        return explain_hopeless(job, queue, share, typed) is not None

    return sorted(filter(is_stranded, waiting), key=lambda job: (job.submitted_at, job.job_id))

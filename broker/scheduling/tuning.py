"""What ops sets about queues and pools, and whom that strikes: jobs that limits strand, runs on nodes that are down."""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.capacity import readiness
from broker.capacity.model import NodeState
from broker.capacity.pool_changes import PoolChanges, change_pool
from broker.capacity.readiness import JudgedPool
from broker.capacity.service import Queue, change_queue
from broker.jobs.reading import queueing
from broker.jobs.running.runs import list_runs_on, lose_run
from broker.ledger.books.causes import Cause
from broker.scheduling.cycle.live import CYCLE_LOCK
from broker.scheduling.cycle.snapshot import describe_queue, describe_waiting, read_pools
from broker.scheduling.planning.waits.stranded import list_stranded
from broker.work import Work

NODE_DOWN = "operations declared its machine down"


async def tune_queue(work: Work, name: str, changes: Mapping[str, Any]) -> tuple[Queue, list[str]]:
    """Change a queue; returns it, and the jobs that wait in it and can never start under its limits, the oldest first.

    Raises: NotFound, InvalidRequest.
    """
    queue = await change_queue(work, name, changes)
    if queue.max_gpus is None and queue.allowed_pools is None:
        return queue, []
    pools, _holders = await read_pools(work, await readiness.list_pools(work))
    waiting = [describe_waiting(job) for job in await queueing.list_waiting(work) if job.fault is None]
    return queue, [job.job_id for job in list_stranded(describe_queue(queue), waiting, pools)]


async def tune_pool(work: Work, name: str, changes: PoolChanges) -> tuple[JudgedPool, Sequence[str]]:
    """Change a pool; returns it, and the runs that were lost with nodes which are down from now on.

    Their jobs are queued again and go first. Jobs are locked before the pool is, and no cycle plans meanwhile.

    Raises: NotFound, InvalidRequest.
    """
    down = [node for node, state in changes.nodes.items() if state is NodeState.DOWN]
    lost: Sequence[str] = ()
    if down:
        await work.take_turn(CYCLE_LOCK)
        lost = await list_runs_on(work, name, down)
        for run_id in lost:
            await lose_run(work, run_id, NODE_DOWN, code=Cause.NODE_DOWN.value)
    return await change_pool(work, name, changes), lost

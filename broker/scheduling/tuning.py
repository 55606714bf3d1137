"""What ops sets about queues and pools, and whom that strikes: jobs that limits strand, runs on nodes that are down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.capacity import readiness
from broker.capacity.model import NodeState
from broker.capacity.pool_changes import PoolChanges, change_pool
from broker.capacity.readiness import JudgedPool
from broker.capacity.service import Queue, change_queue, get_queue
from broker.jobs.reading import queueing
from broker.jobs.running.runs import list_runs_on, lose_run
from broker.ledger.books.causes import Cause
from broker.scheduling.cycle.live import CYCLE_LOCK
from broker.scheduling.cycle.quotas import is_lower, stop_beyond
from broker.scheduling.cycle.snapshot import describe_queue, describe_waiting, read_pools
from broker.scheduling.planning.waits.stranded import list_stranded
from broker.work import Work

NODE_DOWN = "operations declared its machine down"


@dataclass(frozen=True)
class TunedQueue:
    """A queue as it was changed, and whom that strikes.

    `stranded` wait in it and can never start under its limits, the oldest first; `stopping` are beyond a limit that was
    lowered: they save, and wait in it again.
    """

    queue: Queue
    stranded: Sequence[str]
    stopping: Sequence[str]


async def tune_queue(work: Work, name: str, changes: Mapping[str, Any]) -> TunedQueue:
    """Change a queue. Raises: NotFound, InvalidRequest."""
    before = describe_queue(await get_queue(work, name)).limits
    queue = await change_queue(work, name, changes)
    stopping = await stop_beyond(work, queue) if is_lower(describe_queue(queue).limits, before) else []
    return TunedQueue(queue, await _list_stranded(work, queue), stopping)


async def _list_stranded(work: Work, queue: Queue) -> list[str]:
    if queue.max_gpus is None and queue.allowed_pools is None:
        return []
    pools, _holders = await read_pools(work, await readiness.list_pools(work))
    waiting = [describe_waiting(job) for job in await queueing.list_waiting(work) if job.fault is None]
    return [job.job_id for job in list_stranded(describe_queue(queue), waiting, pools)]


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

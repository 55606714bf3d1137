"""What ops sets about queues, and whom that strands: a limit under which a job that waits can never start."""

from collections.abc import Mapping
from typing import Any

from broker.capacity import readiness
from broker.capacity.service import Queue, change_queue
from broker.jobs.reading import queueing
from broker.scheduling.cycle.snapshot import describe_queue, describe_waiting, read_pools
from broker.scheduling.planning.waits.stranded import list_stranded
from broker.work import Work


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

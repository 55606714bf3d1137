"""Quotas that ops lowers below what runs: who began last saves and stops, and waits in the queue again."""

from collections.abc import Iterable, Sequence

from broker.capacity.quotas import ContractQuota
from broker.capacity.service import Queue
from broker.jobs.reading import queueing
from broker.jobs.reading.queueing import DeviceHolder
from broker.jobs.reading.stoppable import find_stop_facts, read_stop_facts
from broker.jobs.running.evictions import stop_beyond_quota
from broker.scheduling.planning.values.queues import QueueLimits
from broker.work import Work


def is_lower(now: QueueLimits, before: QueueLimits) -> bool:
    """Tell whether a limit is lower than it was, or there was none. Pure."""
    pairs = ((now.jobs, before.jobs), (now.gpus, before.gpus))
    return any(limit is not None and (earlier is None or limit < earlier) for limit, earlier in pairs)


async def stop_beyond(work: Work, queue: Queue) -> list[str]:
    """Tell the runs of a queue that are beyond its limits to save and stop; returns their jobs."""
    running = [holder for holder in await _list_running(work) if holder.queue == queue.name]
    return await _stop(work, choose_beyond(running, QueueLimits(queue.max_jobs, queue.max_gpus)))


async def stop_beyond_contract(work: Work, quota: ContractQuota) -> list[str]:
    """Tell the runs of a contract that are beyond its quota to save and stop; returns their jobs."""
    running = [holder for holder in await _list_running(work) if holder.contract_id == quota.contract_id]
    return await _stop(work, choose_beyond(running, QueueLimits(quota.max_jobs, quota.max_gpus)))


async def _list_running(work: Work) -> list[DeviceHolder]:
    """List what runs and goes on: whoever is stopping anyway makes room by that."""
    running = [each for each in await queueing.list_device_holders(work) if each.expected_seconds is not None]
    (rows,) = await work.run_together([find_stop_facts({each.job_id for each in running})])
    facts = read_stop_facts(rows)
    return [each for each in running if each.job_id in facts and not facts[each.job_id].is_stopping]


async def _stop(work: Work, beyond: Sequence[DeviceHolder]) -> list[str]:
    """Stop runs; their jobs are locked by id, as by all who lock several."""
    told = {job_id for job_id in sorted(each.job_id for each in beyond) if await stop_beyond_quota(work, job_id)}
    return [each.job_id for each in beyond if each.job_id in told]


def choose_beyond(running: Iterable[DeviceHolder], limits: QueueLimits) -> list[DeviceHolder]:
    """Choose whom to stop so that the rest is within the limits: who began last, the first to stop first. Pure.

    One that is too large for the GPUs that are left stops; an older one never stops for it. Ties fall by job.
    """
    jobs, gpus = 0, 0
    beyond: list[DeviceHolder] = []
    for holder in sorted(running, key=lambda each: (each.started_at, each.job_id)):
        too_many = limits.jobs is not None and jobs + 1 > limits.jobs
        if too_many or (limits.gpus is not None and gpus + holder.gpus > limits.gpus):
            beyond.append(holder)
        else:
            jobs, gpus = jobs + 1, gpus + holder.gpus
    return beyond[::-1]

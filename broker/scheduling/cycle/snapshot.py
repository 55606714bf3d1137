"""What a cycle plans from, read from the database: pools, queues, waiting and running jobs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache

from broker.capacity import agents, readiness
from broker.capacity import service as capacity
from broker.capacity.readiness import JudgedPool
from broker.jobs.reading import queueing
from broker.jobs.reading.queueing import DeviceHolder, Placement, QueuedJob, bound_seconds
from broker.scheduling.cycle.devices import place_holder
from broker.scheduling.planning.model import (
    ClusterSnapshot,
    PoolState,
    Preference,
    QueueState,
    RunningJob,
    Shape,
    Start,
    TypeOption,
    WaitingJob,
)
from broker.work import Work
from pricing.catalog import find_gpu


async def read_snapshot(work: Work, waiting: Sequence[QueuedJob]) -> ClusterSnapshot:
    """Read what the planner plans from: pools, queues, waiting and running jobs."""
    pools, holders = await read_pools(work, await readiness.list_pools(work, locked=True))
    queues = await capacity.list_queues(work)
    return ClusterSnapshot(
        pools=pools,
        queues=tuple(QueueState(row.name, row.priority, row.open) for row in queues),
        waiting=tuple(_waiting_job(job) for job in waiting),
        running=tuple(_running_job(holder, work.now) for holder in holders),
    )


async def read_pools(work: Work, pools: Sequence[JudgedPool]) -> tuple[tuple[PoolState, ...], Sequence[DeviceHolder]]:
    """Read what of these pools is free, and the runs that hold the rest."""
    holders = await _list_placed_holders(work, pools)
    busy: Counter[str] = Counter()
    for holder in holders:
        busy[holder.pool] += holder.gpus
    return tuple(_pool_state(pool, busy[pool.pool.name]) for pool in pools), holders


def have_free(pools: Sequence[PoolState], starts: Sequence[Start]) -> bool:
    """Tell whether an open pool has devices left besides those of these starts."""
    taken: Counter[str] = Counter()
    for start in starts:
        taken[start.pool] += start.gpus
    return any(pool.open and pool.free_gpus > taken[pool.name] for pool in pools)


async def _list_placed_holders(work: Work, pools: Sequence[JudgedPool]) -> list[DeviceHolder]:
    """List the runs that hold devices, each with the pool whose devices they are as it is served now."""
    holders = await queueing.list_device_holders(work)
    ids = {holder.agent_id for holder in holders} | {judged.pool.agent_id for judged in pools}
    known = await agents.list_agents_of(work, {agent_id for agent_id in ids if agent_id is not None})
    machines = {agent.id: agent.boot_id for agent in known.values()}
    states = {agent.id: agents.judge(work, agent) for agent in known.values()}
    by_name = {judged.pool.name: judged for judged in pools}
    return [replace(holder, pool=place_holder(holder, by_name, machines, states)) for holder in holders]


def _pool_state(judged: JudgedPool, busy: int) -> PoolState:
    pool = judged.pool
    free_gpus = max(0, pool.total_gpus - busy)
    gpu = find_gpu(pool.sku)
    sku = pool.sku if gpu is None else gpu.sku
    return PoolState(pool.name, sku, pool.total_gpus, free_gpus, judged.is_ready, judged.closure)


def _waiting_job(job: QueuedJob) -> WaitingJob:
    shape = _make_shape(job.gpus, job.placement)
    return WaitingJob(job.id, job.contract_id, job.queue, shape, job.created_at)


@lru_cache(maxsize=4096)  # jobs that are alike have one shape
def _make_shape(gpus: int, placement: Placement) -> Shape:
    options = tuple(
        TypeOption(
            run.sku or None,
            bound_seconds(run.p50_seconds, gpus),
            bound_seconds(run.p90_seconds, gpus),
            run.price_micros,
        )
        for run in placement.runs
    )
    return Shape(gpus, options, Preference(placement.prefer), placement.finish_by)


def _running_job(holder: DeviceHolder, now: datetime) -> RunningJob:
    seconds = holder.expected_seconds
    end = now if seconds is None else holder.started_at + timedelta(seconds=seconds)
    return RunningJob(holder.job_id, holder.contract_id, holder.pool, holder.gpus, holder.started_at, p50_end=end)

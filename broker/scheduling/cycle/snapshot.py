"""What a cycle plans from, read from the database: pools, queues, waiting and running jobs."""

import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Protocol

from broker.capacity import agents, quotas, readiness
from broker.capacity import service as capacity
from broker.capacity.readiness import JudgedPool
from broker.capacity.service import Queue
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.jobs.reading import queueing
from broker.jobs.reading.line import Placement, QueuedJob
from broker.jobs.reading.queueing import DeviceHolder, bound_seconds
from broker.scheduling.cycle.devices import place_holder
from broker.scheduling.cycle.guarantees import describe_guarantees, list_lent
from broker.scheduling.cycle.places import count_free, describe_nodes, place_on_nodes
from broker.scheduling.cycle.stops import add_stops, may_stop_others
from broker.scheduling.cycle.usage import UsageReading
from broker.scheduling.planning.values.answers import Start
from broker.scheduling.planning.values.jobs import Place, Preference, RunningJob, Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import Discipline, PoolState
from broker.scheduling.planning.values.queues import ContractShare, Guarantee, QueueLimits, QueueMode, QueueState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot, Kept
from broker.work import Work
from pricing.catalog import find_gpu

# So long the GPUs of a job that lost its machine are kept for it, in case that is back, or its run is being stopped.
KEPT_FOR = timedelta(minutes=2)


class Line(Protocol):
    """Who waits, as far as conditions depend on that."""

    @property
    def jobs(self) -> Mapping[str, QueuedJob]: ...

    @property
    def expedited(self) -> Mapping[str, QueuedJob]: ...

    @property
    def contracts(self) -> Mapping[str, int]: ...


async def read_conditions(work: Work, line: Line, usage: UsageReading, *, locked: bool = True) -> ClusterSnapshot:
    """Read what jobs are planned on: pools, queues, running jobs, what contracts used lately. Nobody waits in it.

    `locked`: the pools are, as before starts.
    """
    found = await _find_conditions(work, line, locked=locked)
    pools, holders = await describe_pools(work, found.pools, found.holders)
    guaranteed = describe_guarantees(found.guaranteed, pools, list_lent(found.queues), work.now)
    snapshot = ClusterSnapshot(
        pools=pools,
        queues=await _describe_queues(work, found.queues, holders),
        waiting=(),
        running=_list_running(holders, line.jobs, work.now),
        shares=await _read_shares(work, line, usage, guaranteed, found.quotas),
        kept=await _read_kept(work, line),
    )
    return await add_stops(work, snapshot, line.jobs) if may_stop_others(snapshot) else snapshot


@dataclass(frozen=True)
class Found:
    """What conditions are described from, as it was found in one message."""

    pools: Sequence[JudgedPool]
    holders: Sequence[DeviceHolder]
    queues: Sequence[Queue]
    guaranteed: Sequence[ContractTerms]
    quotas: Mapping[str, quotas.ContractQuota]


async def _find_conditions(work: Work, line: Line, *, locked: bool) -> Found:
    """Find all that does not depend on anything else that is read: a question each would cost more than the answers."""
    pools, holding, stopping, queues, guaranteed, set_by_ops = await work.run_together(
        [
            readiness.find_pools(locked=locked),
            *queueing.find_device_holders(),
            capacity.find_queues(),
            contracts.find_guaranteed(),
            quotas.find_quotas(line.contracts),
        ]
    )
    return Found(
        readiness.read_pools(work, pools),
        queueing.read_device_holders(holding, stopping),
        capacity.read_queues(queues),
        await contracts.read_guaranteed(work, guaranteed),
        quotas.read_quotas(set_by_ops),
    )


async def _read_kept(work: Work, line: Line) -> tuple[Kept, ...]:
    """Read which GPUs are kept for the jobs that lost them a short while ago."""
    until = {job.id: job.expedited_at + KEPT_FOR for job in line.expedited.values() if job.expedited_at is not None}
    lately = {job_id for job_id, end in until.items() if end > work.now}
    return tuple(
        Kept(place.job_id, place.pool, place.node or place.pool, place.gpus, until[place.job_id])
        for place in await queueing.list_last_places(work, lately)
    )


async def _read_shares(
    work: Work,
    line: Line,
    usage: UsageReading,
    guaranteed: Mapping[str, tuple[Guarantee, ...]],
    set_by_ops: Mapping[str, quotas.ContractQuota],
) -> tuple[ContractShare, ...]:
    """Read what the contracts used lately whose jobs wait, and what is guaranteed to contracts, whoever waits.

    Where jobs of one contract alone wait, its use is compared with nobody's.
    """
    compared = set(line.contracts) if len(line.contracts) > 1 else set()
    used = await usage.read(work) if compared else {}
    return tuple(
        _describe_share(
            contract_id, used.get(contract_id, 0), guaranteed.get(contract_id, ()), set_by_ops.get(contract_id)
        )
        for contract_id in sorted(guaranteed.keys() | compared | set_by_ops.keys())
    )


def _describe_share(
    contract_id: str, used: int, guarantees: tuple[Guarantee, ...], quota: quotas.ContractQuota | None
) -> ContractShare:
    share = ContractShare(contract_id, usage=used, guarantees=guarantees)
    if quota is None:
        return share
    return replace(share, weight=quota.weight, most_gpus=quota.max_gpus, most_jobs=quota.max_jobs)


async def read_pools(work: Work, pools: Sequence[JudgedPool]) -> tuple[tuple[PoolState, ...], Sequence[DeviceHolder]]:
    """Read what of these pools is free, and the runs that hold the rest."""
    return await describe_pools(work, pools, await queueing.list_device_holders(work))


async def describe_pools(
    work: Work, pools: Sequence[JudgedPool], found: Sequence[DeviceHolder]
) -> tuple[tuple[PoolState, ...], Sequence[DeviceHolder]]:
    """Describe what of these pools is free beside the runs that hold devices, and each of these where it is now."""
    by_pool: dict[str, list[DeviceHolder]] = {}
    for holder in await _place_holders(work, pools, found):
        by_pool.setdefault(holder.pool, []).append(holder)
    for judged in pools:
        name = judged.pool.name
        by_pool[name] = place_on_nodes(by_pool.get(name, ()), judged.nodes)
    states = tuple(_pool_state(judged, by_pool[judged.pool.name]) for judged in pools)
    return states, [holder for holders in by_pool.values() for holder in holders]


def have_free(pools: Sequence[PoolState], starts: Sequence[Start]) -> bool:
    """Tell whether an open pool has devices left besides those of these starts."""
    taken: Counter[str] = Counter()
    for start in starts:
        taken[start.pool] += start.gpus
    return any(pool.open and pool.free_gpus > taken[pool.name] for pool in pools)


async def _place_holders(
    work: Work, pools: Sequence[JudgedPool], holders: Sequence[DeviceHolder]
) -> list[DeviceHolder]:
    """List runs that hold devices, each with the pool whose devices they are as it is served now."""
    known = {judged.agent.id: judged.agent for judged in pools if judged.agent is not None}
    ids = {holder.agent_id for holder in holders if holder.agent_id is not None}
    known |= await agents.list_agents_of(work, ids - known.keys())
    machines = {agent.id: agents.find_site(agent) for agent in known.values()}
    states = {agent.id: agents.judge(work, agent) for agent in known.values()}
    by_name = {judged.pool.name: judged for judged in pools}
    return [_move(holder, place_holder(holder, by_name, machines, states)) for holder in holders]


def _move(holder: DeviceHolder, pool: str) -> DeviceHolder:
    return holder if holder.pool == pool else replace(holder, pool=pool)


def _pool_state(judged: JudgedPool, holders: Sequence[DeviceHolder]) -> PoolState:
    pool, nodes = judged.pool, judged.nodes
    gpu = find_gpu(pool.sku)
    left = max(0, pool.total_gpus - sum(holder.gpus for holder in holders))
    return PoolState(
        name=pool.name,
        sku=pool.sku if gpu is None else gpu.sku,
        total_gpus=judged.total_gpus,
        free_gpus=count_free(nodes, holders) if nodes else left,
        open=judged.is_ready,
        closure=judged.closure,
        nodes=describe_nodes(pool.name, pool.total_gpus, nodes, pool.maintenance),
        discipline=Discipline(pool.discipline),
        own_stops_per_hour=pool.stops_per_hour,
        own_least_run=None if pool.least_run_seconds is None else timedelta(seconds=pool.least_run_seconds),
    )


async def _describe_queues(
    work: Work, queues: Sequence[Queue], holders: Sequence[DeviceHolder]
) -> tuple[QueueState, ...]:
    """Describe the queues as the planner knows them, with what is left of the GPU-hours of their windows."""
    described = []
    for row in queues:
        left = None
        if row.max_gpu_hours is not None and row.window_hours is not None:
            since = work.now - timedelta(hours=row.window_hours)
            ended = await queueing.add_up_ended(work, row.name, since)
            left = 3600 * row.max_gpu_hours - ended - count_running(row.name, holders, since, work.now)
        described.append(describe_queue(row, left))
    return tuple(described)


def count_running(queue: str, holders: Iterable[DeviceHolder], since: datetime, now: datetime) -> int:
    """Count the GPU-seconds within a window of the runs of a queue, with what is expected of them still. Pure."""
    counted = 0
    for holder in holders:
        if holder.queue == queue and holder.expected_seconds is not None:
            end = max(now, holder.started_at + timedelta(seconds=holder.expected_seconds))
            counted += holder.gpus * math.ceil((end - max(holder.started_at, since)).total_seconds())
    return counted


def describe_queue(row: Queue, gpu_seconds_left: int | None = None) -> QueueState:
    """Describe a queue as the planner knows it."""
    limits = QueueLimits(
        row.max_jobs,
        row.max_gpus,
        gpu_seconds_left,
        None if row.max_gpu_hours is None else 3600 * row.max_gpu_hours,
        None if row.window_hours is None else timedelta(hours=row.window_hours),
    )
    return QueueState(
        name=row.name,
        priority=row.priority,
        mode=QueueMode(row.state),
        max_wait=None if row.max_wait_seconds is None else timedelta(seconds=row.max_wait_seconds),
        limits=limits,
        allowed_pools=None if row.allowed_pools is None else frozenset(row.allowed_pools),
        contract_id=row.contract_id,
        weight=row.weight,
    )


def describe_waiting(job: QueuedJob) -> WaitingJob:
    """Describe a job that waits as the planner knows it."""
    shape = _make_shape(job.gpus, job.placement)
    expedited = job.expedited_at is not None
    return WaitingJob(
        job.id,
        job.contract_id,
        job.queue,
        shape,
        job.created_at,
        seconds_done=job.used_gpu_seconds // job.gpus,
        expedited=expedited,
        priority=job.priority,
    )


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


def _list_running(holders: Sequence[DeviceHolder], waiting: Container[str], now: datetime) -> tuple[RunningJob, ...]:
    """List what runs. A run that is still being stopped while its job waits or runs again goes by its own id."""
    running = {holder.job_id for holder in holders if holder.run_id is None}

    def name(holder: DeviceHolder) -> str:
        is_present = holder.job_id in running or holder.job_id in waiting
        return holder.run_id if holder.run_id and is_present else holder.job_id

    return tuple(_running_job(holder, name(holder), now) for holder in holders)


def _running_job(holder: DeviceHolder, name: str, now: datetime) -> RunningJob:
    seconds = holder.expected_seconds
    end = now if seconds is None else holder.started_at + timedelta(seconds=seconds)
    late = holder.late_seconds
    return RunningJob(
        name,
        holder.contract_id,
        holder.pool,
        holder.gpus,
        holder.started_at,
        p50_end=end,
        p90_end=None if late is None else holder.started_at + timedelta(seconds=late),
        queue=holder.queue,
        places=() if holder.node is None else (Place(holder.node, holder.gpus),),
    )

"""Why a job waits: one dominant reason by precedence, what was read for it, and what helps. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from broker.scheduling.planning.books.classes import JobClass
from broker.scheduling.planning.books.nodes import PoolBook
from broker.scheduling.planning.books.shares import QueueBook
from broker.scheduling.planning.rounds.limits import Limit, count_gpu_seconds, find_hopeless
from broker.scheduling.planning.values.answers import Reason, ReasonCode
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.queues import NO_LIMITS, ContractShare, QueueMode, QueueState
from broker.scheduling.planning.values.snapshot import Batch
from broker.scheduling.planning.waits.wording import Words, as_hours, count, say

MOST_CLOSURES_TOLD = 3


def explain_held_back(job: WaitingJob, queue: QueueBook, share: ContractShare, pools: Mapping[str, PoolBook]) -> Reason:
    """Explain why no pool is open to a job: first what never ends by waiting, then what somebody may change."""
    if queue.state is None:
        return say(ReasonCode.QUEUE_UNKNOWN, queue=job.queue)
    named = [pool for name, pool in sorted(pools.items()) if job.pool in (None, name)]
    typed = [pool for pool in named if job.shape.find_option(pool.state.sku) is not None]
    hopeless = explain_misfit(job, named, typed) or explain_hopeless(job, queue.state, share, typed)
    if hopeless is not None:
        return hopeless
    if not queue.state.starts_jobs:
        return say(ReasonCode.QUEUE_CLOSED, Words(how=_tell_mode(queue)), queue=job.queue)
    return _explain_closure(job, queue, typed, pools.values())


def explain_misfit(job: WaitingJob, named: list[PoolBook], typed: list[PoolBook]) -> Reason | None:
    """Explain that no pool there is could ever take a job."""
    if job.pool is not None and not named:
        return say(ReasonCode.POOL_UNKNOWN, pool=job.pool)
    if named and not typed:
        return say(ReasonCode.NO_POOL_OF_TYPE, Words(), **_name_types(job))
    if typed and not any(job.gpus <= pool.measure() for pool in typed):
        return _explain_size(job, typed)
    return None


def explain_hopeless(
    job: WaitingJob, queue: QueueState, share: ContractShare, pools: Iterable[PoolBook]
) -> Reason | None:
    """Explain which rule of its queue or quota of its contract never lets a job start, though a pool could take it."""
    allowed = queue.allowed_pools
    fitting = {pool.state.name for pool in pools if job.gpus <= pool.measure()}
    if fitting and allowed is not None and allowed.isdisjoint(fitting):
        return say(ReasonCode.POOL_NEVER_ALLOWED, queue=queue.name, pools=", ".join(sorted(allowed)))
    match find_hopeless(queue, share, job):
        case Limit.QUEUE_GPUS:
            return say(ReasonCode.TOO_LARGE_FOR_QUEUE, gpus=job.gpus, queue=queue.name, limit=queue.limits.gpus)
        case Limit.QUEUE_HOURS:
            needed = as_hours(count_gpu_seconds(job))
            return say(ReasonCode.TOO_LONG_FOR_QUEUE, queue=queue.name, hours=needed, **_name_window(queue))
        case Limit.QUOTA:
            return say(ReasonCode.TOO_LARGE_FOR_QUOTA, gpus=job.gpus, limit=share.most_gpus)
    return None


def _name_window(queue: QueueState) -> dict[str, Any]:
    """Name the GPU-hours of a queue's window, how many of them are used, and how long it is."""
    limits = queue.limits
    whole, left = limits.gpu_seconds or 0, limits.gpu_seconds_left or 0
    length = 0 if limits.window is None else limits.window // timedelta(seconds=1)
    return {"used": as_hours(max(0, whole - left)), "limit": as_hours(whole), "window": as_hours(length)}


def _explain_closure(
    job: WaitingJob, queue: QueueBook, pools: list[PoolBook], everywhere: Iterable[PoolBook]
) -> Reason:
    if job.pool is not None and not pools[0].state.open:
        closure = pools[0].state.closure
        return say(ReasonCode.POOL_CLOSED, Words(closure, _tell_closed_zh(pools[:1])), pool=job.pool)
    open_pools = [pool for pool in pools if pool.state.open]
    if not open_pools:
        known = [pool for pool in pools if pool.state.closure][:MOST_CLOSURES_TOLD]
        told = " ".join(pool.state.closure or "" for pool in known)
        how = "types" if any(job.shape.find_option(pool.state.sku) is None for pool in everywhere) else ""
        return say(ReasonCode.NO_OPEN_POOL, Words(told, _tell_closed_zh(known), how), **_name_types(job))
    allowed = None if queue.state is None else queue.state.allowed_pools
    within = [pool for pool in open_pools if allowed is None or pool.state.name in allowed]
    if not within:
        return say(ReasonCode.POOL_NOT_ALLOWED, queue=job.queue, pools=", ".join(sorted(allowed or ())))
    if any(job.gpus <= pool.measure() for pool in within):
        return say(ReasonCode.NO_OPEN_POOL, Words(how="nodes"), gpus=job.gpus)
    return _explain_size(job, within)


def _tell_closed_zh(pools: Iterable[PoolBook]) -> str:
    """Tell in Chinese which pools take no jobs; why not is known in English alone."""
    names = "、".join(pool.state.name for pool in pools)
    return f"资源池 {names} 目前不接受作业。" if names else ""


def _explain_size(job: WaitingJob, pools: list[PoolBook]) -> Reason:
    """Explain that a job is larger than the largest of these pools, of the open ones where there is one."""
    choice = [pool for pool in pools if pool.state.open] or pools
    largest = min(choice, key=lambda pool: (-pool.measure(), pool.state.name))
    which = "pool" if job.pool is not None else "largest"
    return say(
        ReasonCode.TOO_LARGE_FOR_POOL, Words(how=which), gpus=job.gpus, pool=largest.state.name, total=largest.measure()
    )


def _name_types(job: WaitingJob) -> dict[str, str]:
    names = [sku for sku in job.shape.skus if sku is not None]
    either = " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
    return {"types": either, "types_zh": "、".join(names)}


def _tell_mode(queue: QueueBook) -> str:
    return "holding" if queue.state is not None and queue.state.open and queue.state.mode == QueueMode.HOLDING else ""


def explain_limit(limit: Limit, job: WaitingJob, job_class: JobClass) -> Reason:
    """Explain which limit of its queue, or which quota of its contract, keeps a job until others have ended."""
    queue, contract = job_class.queue, job_class.contract
    limits = NO_LIMITS if queue.state is None else queue.state.limits
    how = Words(how=limit.value)
    match limit:
        case Limit.QUOTA:
            return say(ReasonCode.QUOTA, gpus=job.gpus, held=contract.held, limit=contract.share.most_gpus)
        case Limit.QUOTA_JOBS:
            return say(ReasonCode.QUOTA, how, held=contract.jobs, limit=contract.share.most_jobs)
        case Limit.QUEUE_JOBS:
            return say(ReasonCode.QUEUE_LIMIT, how, queue=queue.name, held=queue.jobs, limit=limits.jobs)
        case Limit.QUEUE_GPUS:
            return say(ReasonCode.QUEUE_LIMIT, how, queue=queue.name, held=queue.gpus, limit=limits.gpus)
        case Limit.QUEUE_HOURS:
            assert queue.state is not None, "a limit is a queue's"
            return say(ReasonCode.QUEUE_LIMIT, how, queue=queue.name, **_name_window(queue.state))


def explain_batch(batch: Batch) -> Reason:
    """Explain that a job waits for others of its batch."""
    how = Words(how="one" if batch.at_once == 1 else "")
    return say(ReasonCode.BATCH_LIMIT, how, batch=batch.batch_id, limit=batch.at_once)


def explain_cause(code: ReasonCode, job: WaitingJob, *, ahead: int) -> Reason:
    """Explain what keeps a job whose turn it is, besides those who run."""
    return say(code, Words(), gpus=job.gpus, ahead=ahead)


@dataclass(frozen=True)
class Choice:
    """The pools of a group, and the one of which most is free: its name, its free GPUs and all of them."""

    in_order: tuple[str, ...]
    names: frozenset[str]
    freest: str
    free: int
    total: int

    @classmethod
    def of(cls, pools: Iterable[PoolBook], free: Mapping[str, int]) -> "Choice":
        """Make the choice that a group has, by what is free once a plan's starts have been."""
        by_name = {pool.state.name: pool for pool in pools}
        freest = min(by_name, key=lambda name: (-free[name], name))
        return cls(tuple(sorted(by_name)), frozenset(by_name), freest, free[freest], by_name[freest].capacity)


def explain_turn(job: WaitingJob, choice: Choice, *, ahead: int, is_first: bool) -> Reason:
    """Explain that a job waits for GPUs: how many it needs, how many are free where most are, how many are ahead."""
    name, free, total, count_of_pools = choice.freest, max(choice.free, 0), choice.total, len(choice.in_order)
    code = ReasonCode.WAITING_FOR_GPUS if is_first else ReasonCode.BEHIND_EARLIER_JOBS
    which = f"pool {name}" if count_of_pools == 1 else f"the freest of {count_of_pools} pools, {name},"
    which_zh = f"资源池 {name}" if count_of_pools == 1 else f"{count_of_pools} 个资源池中空闲最多的 {name}"
    turn = f"{count(ahead, 'job')} {'is' if ahead == 1 else 'are'} ahead." if ahead else "It is next."
    turn_zh = f"前面还有 {ahead} 个作业。" if ahead else "下一个就轮到它。"
    words = Words(
        f"Needs {count(job.gpus, 'GPU')}; {which} has {free} of {total} free. {turn}",
        f"需要 {job.gpus} 张 GPU；{which_zh} 共 {total} 张，空闲 {free} 张。{turn_zh}",
    )
    return say(code, words, gpus=job.gpus, pool=name, free=free, total=total, ahead=ahead)

"""Why a job waits: one dominant reason by precedence, what was read for it, and what helps. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from broker.scheduling.planning.books.classes import JobClass
from broker.scheduling.planning.books.nodes import PoolBook
from broker.scheduling.planning.books.shares import QueueBook
from broker.scheduling.planning.rounds.limits import Limit
from broker.scheduling.planning.values.answers import Reason, ReasonCode
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.queues import QueueMode
from broker.scheduling.planning.waits.wording import Words, count, say

MOST_CLOSURES_TOLD = 3


def explain_held_back(job: WaitingJob, queue: QueueBook, pools: Mapping[str, PoolBook]) -> Reason:
    """Explain why no pool is open to a job: first what never ends by waiting, then what somebody may change."""
    named = [pool for name, pool in sorted(pools.items()) if job.pool in (None, name)]
    if queue.state is None:
        return say(ReasonCode.QUEUE_UNKNOWN, queue=job.queue)
    if job.pool is not None and not named:
        return say(ReasonCode.POOL_UNKNOWN, pool=job.pool)
    typed = [pool for pool in named if job.shape.find_option(pool.state.sku) is not None]
    if named and not typed:
        return say(ReasonCode.NO_POOL_OF_TYPE, Words(), **_name_types(job))
    if typed and not any(pool.could_fit(job.gpus) for pool in typed):
        return _explain_size(job, typed)
    if not queue.state.starts_jobs:
        return say(ReasonCode.QUEUE_CLOSED, Words(how=_tell_mode(queue)), queue=job.queue)
    return _explain_closure(job, queue, typed, pools.values())


def _explain_closure(
    job: WaitingJob, queue: QueueBook, pools: list[PoolBook], everywhere: Iterable[PoolBook]
) -> Reason:
    if job.pool is not None and not pools[0].state.open:
        closure = pools[0].state.closure
        return say(ReasonCode.POOL_CLOSED, Words(closure, closure), pool=job.pool)
    open_pools = [pool for pool in pools if pool.state.open]
    if not open_pools:
        told = " ".join([pool.state.closure for pool in pools if pool.state.closure][:MOST_CLOSURES_TOLD])
        how = "types" if any(job.shape.find_option(pool.state.sku) is None for pool in everywhere) else ""
        return say(ReasonCode.NO_OPEN_POOL, Words(told, told, how), **_name_types(job))
    allowed = None if queue.state is None else queue.state.allowed_pools
    within = [pool for pool in open_pools if allowed is None or pool.state.name in allowed]
    if not within:
        return say(ReasonCode.POOL_NOT_ALLOWED, queue=job.queue, pools=", ".join(sorted(allowed or ())))
    return _explain_size(job, within)


def _explain_size(job: WaitingJob, pools: list[PoolBook]) -> Reason:
    """Explain that a job is larger than the largest of these pools, of the open ones where there is one."""
    choice = [pool for pool in pools if pool.state.open] or pools
    largest = min(choice, key=lambda pool: (-_measure(pool), pool.state.name))
    which = "pool" if job.pool is not None else "largest"
    return say(
        ReasonCode.TOO_LARGE_FOR_POOL, Words(how=which), gpus=job.gpus, pool=largest.state.name, total=_measure(largest)
    )


def _name_types(job: WaitingJob) -> dict[str, str]:
    names = [sku for sku in job.shape.skus if sku is not None]
    either = " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
    return {"types": either, "types_zh": "、".join(names)}


def _measure(pool: PoolBook) -> int:
    return pool.capacity if pool.state.spans_nodes else pool.largest


def _tell_mode(queue: QueueBook) -> str:
    return "holding" if queue.state is not None and queue.state.open and queue.state.mode == QueueMode.HOLDING else ""


def explain_limit(limit: Limit, job: WaitingJob, job_class: JobClass) -> Reason:
    """Explain which limit of its queue, or which quota of its contract, keeps a job."""
    queue, share = job_class.queue, job_class.contract.share
    if limit == Limit.QUOTA:
        return say(ReasonCode.QUOTA, gpus=job.gpus, held=job_class.contract.held, limit=share.most_gpus)
    limits = None if queue.state is None else queue.state.limits
    held = {Limit.QUEUE_JOBS: queue.jobs, Limit.QUEUE_GPUS: queue.gpus, Limit.QUEUE_HOURS: None}[limit]
    most = None if limits is None else {Limit.QUEUE_JOBS: limits.jobs, Limit.QUEUE_GPUS: limits.gpus}.get(limit)
    return say(ReasonCode.QUEUE_LIMIT, Words(how=limit.value), queue=queue.name, held=held, limit=most)


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

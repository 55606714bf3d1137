"""The planner: who may start now, and why each other job waits. Pure: no clock, no I/O, standard library only."""

from bisect import bisect_right, insort
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import chain

from broker.scheduling.planning.model import (
    ClusterSnapshot,
    CyclePlan,
    PoolState,
    Preference,
    QueueState,
    Reason,
    ReasonCode,
    Shape,
    Start,
    Wait,
    WaitingJob,
)

# A start expected later than this is no forecast worth showing; it also keeps the arithmetic inside datetime's range.
FORECAST_HORIZON = timedelta(days=3650)
MOST_CLOSURES_TOLD = 3


@dataclass(frozen=True)
class _Contender:
    """A waiting job that nothing but GPUs keeps from starting, with the open pools that are large enough for it."""

    job: WaitingJob
    pools: frozenset[str]


@dataclass
class _Draft:
    """What the plan under way has handed out; a blocked pool has a job in front that must wait for its GPUs."""

    now: datetime
    skus: Mapping[str, str]
    free: dict[str, int]
    held: Counter[str]
    blocked: set[str] = field(default_factory=set)
    starts: list[tuple[_Contender, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Level:
    """The jobs that wait at one priority: `heads` block a pool for lack of GPUs, `rest` stand behind somebody."""

    heads: list[_Contender]
    rest: list[_Contender]


def plan_cycle(snapshot: ClusterSnapshot, *, now: datetime) -> CyclePlan:
    """Decide starts and waiting reasons. Pure and deterministic, whatever the order of the input.

    Order: queue priority; then the contract that holds the fewest GPUs, running jobs and this cycle's starts counted;
    then submitted_at; then job id. Strict: a job that must wait for GPUs blocks every pool it could use for those
    behind it, and no other pool. A job starts on a GPU type that it accepts, first on the one that it would rather have
    (of those that meet its date, if it has one), and of pools of one rank on that left with the fewest free GPUs.
    Positions count on as if those ahead had started, so that contracts alternate in the line too. Jobs held back by
    a closed or unknown queue or pool, or by their size, come last in the line and block nobody.
    Units: whole GPUs. Raises: nothing; each job left waiting carries a Reason.
    """
    pools = {pool.name: pool for pool in snapshot.pools}
    contenders, held_back = _sort_out(snapshot, pools)
    free, skus = {name: max(pool.free_gpus, 0) for name, pool in pools.items()}, _list_skus(pools)
    draft = _Draft(now, skus, free, Counter())
    for running in snapshot.running:
        draft.held[running.contract_id] += running.gpus
    levels = [_plan_level(level, draft) for level in _group_by_priority(contenders, snapshot.queues)]
    line = _order_line(levels, draft.held)
    reasons = _explain_line(line, {head.job.job_id for level in levels for head in level.heads}, pools, draft.free)
    forecast = _forecast_line(line, _forecast_pools(snapshot, draft), draft)
    waits = [(waiter.job, reason, start) for waiter, reason, start in zip(line, reasons, forecast, strict=True)]
    waits += [(job, reason, None) for job, reason in held_back]
    return CyclePlan(
        starts=tuple(Start(starter.job.job_id, pool, starter.job.gpus) for starter, pool in draft.starts),
        waits=tuple(Wait(job.job_id, n, reason, start) for n, (job, reason, start) in enumerate(waits, start=1)),
    )


def _list_skus(pools: Mapping[str, PoolState]) -> dict[str, str]:
    return {name: pool.sku for name, pool in pools.items()}


def _sort_out(
    snapshot: ClusterSnapshot, pools: Mapping[str, PoolState]
) -> tuple[list[_Contender], list[tuple[WaitingJob, Reason]]]:
    """Part the jobs that only need GPUs from those that something else holds back; both by age."""
    queues = {queue.name: queue for queue in snapshot.queues}
    contenders: list[_Contender] = []
    held_back: list[tuple[WaitingJob, Reason]] = []
    for job in sorted(snapshot.waiting, key=lambda job: (job.submitted_at, job.job_id)):
        reason = _check_queue(job, queues) or _check_pool(job, pools)
        if reason is not None:
            held_back.append((job, reason))
        else:
            contenders.append(_Contender(job, frozenset(pool.name for pool in _usable_pools(job, pools))))
    return contenders, held_back


def _check_queue(job: WaitingJob, queues: Mapping[str, QueueState]) -> Reason | None:
    queue = queues.get(job.queue)
    if queue is None:
        return Reason(ReasonCode.QUEUE_UNKNOWN, f"Queue {job.queue} does not exist.")
    if not queue.open:
        return Reason(ReasonCode.QUEUE_CLOSED, f"Queue {job.queue} is closed.")
    return None


def _check_pool(job: WaitingJob, pools: Mapping[str, PoolState]) -> Reason | None:
    if job.pool is not None and job.pool not in pools:
        return Reason(ReasonCode.POOL_UNKNOWN, f"Pool {job.pool} does not exist.")
    if job.pool is not None and not pools[job.pool].open:
        return Reason(ReasonCode.POOL_CLOSED, pools[job.pool].closure or f"Pool {job.pool} is closed.")
    accepted = [pool for pool in pools.values() if job.shape.find_option(pool.sku) is not None]
    if pools and not accepted:
        return Reason(ReasonCode.NO_POOL_OF_TYPE, f"No pool has {_name_types(job)}, which it accepts.")
    candidates = [pool for pool in accepted if pool.open and job.pool in (None, pool.name)]
    if not candidates:
        told = [pool.closure for pool in sorted(accepted, key=lambda pool: pool.name) if pool.closure]
        which = "No pool is open." if len(accepted) == len(pools) else f"No pool of {_name_types(job)} is open."
        return Reason(ReasonCode.NO_OPEN_POOL, " ".join([which, *told[:MOST_CLOSURES_TOLD]]))
    largest = min(candidates, key=lambda pool: (-pool.total_gpus, pool.name))
    if job.gpus <= largest.total_gpus:
        return None
    which = f"pool {largest.name}" if job.pool is not None else f"the largest open pool, {largest.name},"
    return Reason(
        ReasonCode.TOO_LARGE_FOR_POOL,
        f"Needs {_count(job.gpus, 'GPU')}; {which} has {largest.total_gpus} in all.",
    )


def _usable_pools(job: WaitingJob, pools: Mapping[str, PoolState]) -> Iterable[PoolState]:
    candidates = pools.values() if job.pool is None else (pools[job.pool],)
    return (
        pool
        for pool in candidates
        if pool.open and pool.total_gpus >= job.gpus and job.shape.find_option(pool.sku) is not None
    )


def _name_types(job: WaitingJob) -> str:
    names = [option.sku for option in job.shape.options if option.sku is not None]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _rank_type(shape: Shape, sku: str, now: datetime) -> tuple[bool, int, int]:
    """Rank a GPU type that a job accepts, the best first: those that miss its date come last, the fastest before."""
    option = shape.find_option(sku)
    assert option is not None, "its pools have types that it accepts"
    misses = shape.finish_by is not None and now + _expect_length(option.p90_seconds) > shape.finish_by
    if misses or shape.preference == Preference.FASTEST:
        return misses, option.p50_seconds, option.price_micros
    return misses, option.price_micros, option.p50_seconds


def _group_by_priority(contenders: Iterable[_Contender], queues: Iterable[QueueState]) -> list[list[_Contender]]:
    priorities = {queue.name: queue.priority for queue in queues}
    levels: dict[int, list[_Contender]] = {}
    for contender in contenders:
        levels.setdefault(priorities[contender.job.queue], []).append(contender)
    return [levels[priority] for priority in sorted(levels, reverse=True)]


def _plan_level(level: list[_Contender], draft: _Draft) -> _Level:
    heads: list[_Contender] = []
    rest: list[_Contender] = []
    for contender in _take_fairly(level, draft.held):
        pool = _choose_pool(contender, draft)
        if pool is not None:
            draft.starts.append((contender, pool))
            draft.free[pool] -= contender.job.gpus
            draft.held[contender.job.contract_id] += contender.job.gpus
        elif contender.pools <= draft.blocked:
            rest.append(contender)
        else:
            heads.append(contender)
            draft.blocked |= contender.pools
    return _Level(heads, rest)


def _take_fairly(contenders: Iterable[_Contender], held: Counter[str]) -> Iterator[_Contender]:
    """Yield, each time, the oldest job of the contract that holds the fewest GPUs.

    `contenders` come by age. Between two yields the caller may raise `held` for the contract just yielded, and no
    other: only that contract is weighed anew.
    """
    lines: dict[str, deque[_Contender]] = {}
    for contender in contenders:
        lines.setdefault(contender.job.contract_id, deque()).append(contender)

    def weigh(contract_id: str) -> tuple[int, datetime, str, str]:
        oldest = lines[contract_id][0].job
        return held[contract_id], oldest.submitted_at, oldest.job_id, contract_id

    heap = [weigh(contract_id) for contract_id in lines]
    heapify(heap)
    while heap:
        contract_id = heappop(heap)[-1]
        yield lines[contract_id].popleft()
        if lines[contract_id]:
            heappush(heap, weigh(contract_id))


def _choose_pool(contender: _Contender, draft: _Draft) -> str | None:
    fitting = [name for name in contender.pools - draft.blocked if draft.free[name] >= contender.job.gpus]
    shape = contender.job.shape
    return min(
        fitting,
        key=lambda name: (_rank_type(shape, draft.skus[name], draft.now), draft.free[name], name),
        default=None,
    )


def _order_line(levels: Iterable[_Level], held: Counter[str]) -> list[_Contender]:
    projected = held.copy()
    line: list[_Contender] = []
    for level in levels:
        for waiter in chain(level.heads, _take_fairly(_by_age(level.rest), projected)):
            projected[waiter.job.contract_id] += waiter.job.gpus
            line.append(waiter)
    return line


def _by_age(contenders: Iterable[_Contender]) -> list[_Contender]:
    return sorted(contenders, key=lambda contender: (contender.job.submitted_at, contender.job.job_id))


def _explain_line(
    line: Iterable[_Contender], heads: set[str], pools: Mapping[str, PoolState], free: Mapping[str, int]
) -> list[Reason]:
    reasons: list[Reason] = []
    passed: Counter[frozenset[str]] = Counter()
    for waiter in line:
        ahead = sum(jobs for others, jobs in passed.items() if not others.isdisjoint(waiter.pools))
        passed[waiter.pools] += 1
        code = ReasonCode.WAITING_FOR_GPUS if waiter.job.job_id in heads else ReasonCode.BEHIND_EARLIER_JOBS
        turn = f"{_count(ahead, 'job')} {'is' if ahead == 1 else 'are'} ahead." if ahead else "It is next."
        needs = f"Needs {_count(waiter.job.gpus, 'GPU')}; {_describe_freest(waiter.pools, pools, free)} free."
        reasons.append(Reason(code, f"{needs} {turn}"))
    return reasons


def _describe_freest(names: frozenset[str], pools: Mapping[str, PoolState], free: Mapping[str, int]) -> str:
    freest = min(names, key=lambda name: (-free[name], name))
    which = f"pool {freest}" if len(names) == 1 else f"the freest of {len(names)} pools, {freest},"
    return f"{which} has {free[freest]} of {pools[freest].total_gpus}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@dataclass
class _PoolForecast:
    """One pool in time: GPUs free at `opens_at`, and those that come free later (ascending).

    `opens_at` None: the job in front has no known start, so nobody behind it has one.
    """

    free: int
    releases: list[tuple[datetime, int]]
    opens_at: datetime | None

    def find_start(self, gpus: int) -> datetime | None:
        if self.opens_at is None or self.free >= gpus:
            return self.opens_at
        free = self.free
        for released_at, released in self.releases:
            free += released
            if free >= gpus:
                return max(self.opens_at, released_at)
        return None

    def occupy(self, gpus: int, start: datetime, end: datetime) -> None:
        released = bisect_right(self.releases, start, key=lambda release: release[0])
        self.free += sum(freed for _, freed in self.releases[:released]) - gpus
        del self.releases[:released]
        insort(self.releases, (end, gpus))


def _forecast_pools(snapshot: ClusterSnapshot, draft: _Draft) -> dict[str, _PoolForecast]:
    now = draft.now
    forecasts = {name: _PoolForecast(free, [], now) for name, free in draft.free.items()}
    for running in snapshot.running:
        if running.pool in forecasts:
            forecasts[running.pool].releases.append((max(running.p50_end, now), running.gpus))
    for starter, pool in draft.starts:
        forecasts[pool].releases.append((_end_of(starter.job, draft.skus[pool], now), starter.job.gpus))
    for forecast in forecasts.values():
        forecast.releases.sort()
    return forecasts


def _forecast_line(
    line: Iterable[_Contender], forecasts: Mapping[str, _PoolForecast], draft: _Draft
) -> list[datetime | None]:
    """Forecast when each would start if every job took just its expected time and nobody else came."""
    now = draft.now
    starts: list[datetime | None] = []
    for waiter in line:
        options = [(start, name) for name in waiter.pools if (start := forecasts[name].find_start(waiter.job.gpus))]
        start, chosen = min(options, default=(None, ""))
        if start is not None and start - now > FORECAST_HORIZON:
            start = None
        if start is not None:
            forecasts[chosen].occupy(waiter.job.gpus, start, _end_of(waiter.job, draft.skus[chosen], start))
        for name in waiter.pools:  # strict order: nobody behind starts earlier on any pool this job could use
            opens_at = forecasts[name].opens_at
            forecasts[name].opens_at = max(start, opens_at) if start is not None and opens_at is not None else None
        starts.append(start)
    return starts


def _end_of(job: WaitingJob, sku: str, start: datetime) -> datetime:
    option = job.shape.find_option(sku)
    assert option is not None, "it is on a type that it accepts"
    return start + _expect_length(option.p50_seconds)


def _expect_length(seconds: int) -> timedelta:
    return min(timedelta(seconds=min(max(seconds, 0), 2**40)), FORECAST_HORIZON)

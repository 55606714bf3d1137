"""The line of those who wait: in which order, why, and when each is expected to start. Asked for on demand: n log n."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import chain

from broker.scheduling.planning.books.classes import Group, JobClass
from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.rounds.round import Plan
from broker.scheduling.planning.rules.order import ORDINARY, Key, compute_share
from broker.scheduling.planning.values.answers import Reason, Wait
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.planning.waits.forecast import Forecast, bound_starts
from broker.scheduling.planning.waits.reasons import (
    Choice,
    explain_cause,
    explain_held_back,
    explain_limit,
    explain_turn,
)


@dataclass(frozen=True, slots=True)
class Waiter:
    """A waiting job that nothing but GPUs keeps from starting, and where it stands."""

    job: WaitingJob
    job_class: JobClass
    key: Key


def list_waits(planner: Planner, plan: Plan) -> tuple[Wait, ...]:
    """List everybody whom a plan leaves waiting, in line; those whom something holds back come last, by age.

    It must be asked before the planner is told anything new.
    """
    started = {start.job_id for start in plan.starts}
    waiters: list[Waiter] = []
    held_back: list[tuple[WaitingJob, Reason]] = []
    seen: set[str] = set()
    for job_class in sorted(planner.books.homes.list_classes(), key=lambda each: each.kind.group.key.discipline):
        jobs = [job for job in job_class.list_waiting() if job.job_id not in started and job.job_id not in seen]
        seen.update(job.job_id for job in jobs)
        if job_class.kind.group.pools and job_class not in plan.limited:
            waiters += [Waiter(job, job_class, job_class.rank(job, job_class.find_due(job))) for job in jobs]
        else:
            held_back += [(job, _explain_absence(planner, plan, job_class, job)) for job in jobs]
    line = list(_order_line(waiters, {job_id: at for at, job_id in enumerate(plan.heads)}, _project(planner, plan)))
    waits = list(_tell_line(planner, plan, line))
    by_age = sorted(held_back, key=lambda each: (each[0].submitted_at, each[0].job_id))
    waits += [Wait(job.job_id, at, reason, None) for at, (job, reason) in enumerate(by_age, start=len(waits) + 1)]
    return tuple(waits)


def _explain_absence(planner: Planner, plan: Plan, job_class: JobClass, job: WaitingJob) -> Reason:
    limit = plan.limited.get(job_class)
    if limit is not None:
        return explain_limit(limit, job, job_class)
    return explain_held_back(job, job_class.queue, planner.books.pools)


def _project(planner: Planner, plan: Plan) -> Counter[str]:
    """Count what each contract holds once the starts of the plan have been."""
    projected = Counter({name: book.held for name, book in planner.books.shares.contracts.items()})
    for start in plan.starts:
        projected[planner.books.waiting[start.job_id].contract_id] += start.gpus
    return projected


def _order_line(waiters: Iterable[Waiter], heads: Mapping[str, int], projected: Counter[str]) -> Iterator[Waiter]:
    """Order those who wait as if those ahead had started, so that contracts alternate in the line too.

    `heads`: those that the plan stopped at, in its order; they come first at their priority.
    """
    levels: dict[tuple[int, int], list[Waiter]] = {}
    for waiter in sorted(waiters, key=lambda waiter: waiter.key):
        levels.setdefault(waiter.key[:2], []).append(waiter)
    for (tier, _priority), level in levels.items():
        first = sorted((each for each in level if each.job.job_id in heads), key=lambda each: heads[each.job.job_id])
        rest = [each for each in level if each.job.job_id not in heads]
        for waiter in chain(first, _take_fairly(rest, projected) if tier == ORDINARY else rest):
            projected[waiter.job.contract_id] += waiter.job.gpus
            yield waiter


def _take_fairly(waiters: Iterable[Waiter], projected: Counter[str]) -> Iterator[Waiter]:
    """Yield, each time, the first of the contract that has had the least of its share.

    Between two yields the caller may raise `projected` for the contract just yielded, and no other: only that contract
    is weighed anew.
    """
    lines: dict[str, deque[Waiter]] = {}
    for waiter in sorted(waiters, key=lambda waiter: waiter.key[3:]):
        lines.setdefault(waiter.job.contract_id, deque()).append(waiter)

    def weigh(contract_id: str) -> tuple[int, Key, str]:
        first = lines[contract_id][0]
        share, queue = first.job_class.contract.share, first.job_class.queue.state
        if first.job_class.kind.group.key.discipline != Discipline.FAIR or queue is None:
            return first.key[2], first.key, contract_id
        weight = share.weight * queue.weight
        return compute_share(share.usage, projected[contract_id], weight), (0, 0, 0, *first.key[3:]), contract_id

    heap = [weigh(contract_id) for contract_id in lines]
    heapify(heap)
    while heap:
        contract_id = heappop(heap)[-1]
        yield lines[contract_id].popleft()
        if lines[contract_id]:
            heappush(heap, weigh(contract_id))


def _tell_line(planner: Planner, plan: Plan, line: list[Waiter]) -> Iterator[Wait]:
    heads = {reserved.job_id for reserved in plan.reserved} | set(plan.heads)
    early, late = (_open_forecast(planner, plan, is_late=is_late) for is_late in (False, True))
    choices: dict[Group, Choice] = {}
    passed: Counter[Choice] = Counter()
    for position, waiter in enumerate(line, start=1):
        group = waiter.job_class.kind.group
        choice = choices.get(group) or choices.setdefault(group, Choice.of(group.pools, plan.free))
        ahead = sum(jobs for others, jobs in passed.items() if not others.names.isdisjoint(choice.names))
        passed[choice] += 1
        cause = plan.causes.get(waiter.job.job_id)
        if cause is None:
            reason = explain_turn(waiter.job, choice, ahead=ahead, is_first=waiter.job.job_id in heads)
        else:
            reason = explain_cause(cause, waiter.job, ahead=ahead)
        expected = early.put(waiter.job, choice.in_order), late.put(waiter.job, choice.in_order)
        yield Wait(waiter.job.job_id, position, reason, *bound_starts(*expected))


def _open_forecast(planner: Planner, plan: Plan, *, is_late: bool) -> Forecast:
    skus = {name: pool.state.sku for name, pool in planner.books.pools.items()}
    forecast = Forecast(plan.free, skus, plan.now, is_late=is_late)
    forecast.add_runs(booked.run for booked in planner.books.runs.running.values())
    for start in plan.starts:
        forecast.add_start(planner.books.waiting[start.job_id], start.pool, start.gpus)
    return forecast

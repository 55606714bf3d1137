"""The line of those who wait: in which order, why, and when each is expected to start. Asked for on demand: n log n."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heappush
from itertools import chain

from broker.scheduling.planning.books.classes import Group, JobClass
from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.rounds.round import Plan
from broker.scheduling.planning.rules.order import ORDINARY, Key, compute_share, find_priority
from broker.scheduling.planning.values.answers import Reason, Wait
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.planning.values.snapshot import Batch
from broker.scheduling.planning.waits.batch_turns import BatchedLine
from broker.scheduling.planning.waits.forecast import Forecast, bound_starts
from broker.scheduling.planning.waits.reasons import (
    Choice,
    explain_batch,
    explain_cause,
    explain_held_back,
    explain_hopeless,
    explain_limit,
    explain_turn,
)


@dataclass(frozen=True, slots=True)
class Waiter:
    """A waiting job that nothing but GPUs keeps from starting, and where it stands."""

    job: WaitingJob
    job_class: JobClass
    key: Key


def list_waits(planner: Planner, plan: Plan, batches: Sequence[Batch] = ()) -> tuple[Wait, ...]:
    """List everybody whom a plan leaves waiting, in line; those whom something holds back come last, by age.

    Behind them come those whom their batches hold back. It must be asked before the planner is told anything new.
    """
    started = {start.job_id for start in plan.starts}
    waiters: list[Waiter] = []
    held_back: list[tuple[WaitingJob, Reason]] = []
    seen: set[str] = set()
    for job_class in sorted(planner.books.homes.list_classes(), key=lambda each: each.kind.group.key.discipline):
        jobs = [job for job in job_class.list_waiting() if job.job_id not in started and job.job_id not in seen]
        seen.update(job.job_id for job in jobs)
        for job in jobs:
            reason = _explain_absence(planner, plan, job_class, job)
            if reason is None:
                waiters.append(Waiter(job, job_class, job_class.rank(job, job_class.find_due(job))))
            else:
                held_back.append((job, reason))
    line = list(_order_line(waiters, {job_id: at for at, job_id in enumerate(plan.heads)}, _project(planner, plan)))
    choices = _Choices(plan.free)
    starts = _expect_starts(
        planner, plan, [(each.job, choices.find(each.job_class.kind.group)) for each in line], batches
    )
    told = list(_tell_line(plan, line, choices))
    told += sorted(held_back, key=lambda each: (each[0].submitted_at, each[0].job_id))
    told += [(job, _explain_batch(planner, batch, job)) for batch in batches for job in batch.held]
    return tuple(
        Wait(job.job_id, position, reason, *starts.get(job.job_id, (None, None)))
        for position, (job, reason) in enumerate(told, start=1)
    )


def _explain_absence(planner: Planner, plan: Plan, job_class: JobClass, job: WaitingJob) -> Reason | None:
    """Explain why a job is not in line: first what never ends by waiting. None: it is."""
    group, queue, share = job_class.kind.group, job_class.queue, job_class.contract.share
    if not group.pools or queue.state is None:
        return explain_held_back(job, queue, share, planner.books.pools)
    hopeless = explain_hopeless(job, queue.state, share, group.pools)
    limit = plan.limited.get(job_class)
    return hopeless if hopeless is not None or limit is None else explain_limit(limit, job, job_class)


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


class _Choices:
    """The pools that each group of those who wait may choose from."""

    def __init__(self, free: Mapping[str, int]) -> None:
        self.free = free
        self.known: dict[Group, Choice] = {}

    def find(self, group: Group) -> Choice:
        if group not in self.known:
            self.known[group] = Choice.of(group.pools, self.free)
        return self.known[group]


def _tell_line(plan: Plan, line: Iterable[Waiter], choices: _Choices) -> Iterator[tuple[WaitingJob, Reason]]:
    heads = {reserved.job_id for reserved in plan.reserved} | set(plan.heads)
    passed: Counter[Choice] = Counter()
    for waiter in line:
        choice = choices.find(waiter.job_class.kind.group)
        ahead = sum(jobs for others, jobs in passed.items() if not others.names.isdisjoint(choice.names))
        passed[choice] += 1
        cause = plan.causes.get(waiter.job.job_id)
        if cause is None:
            reason = explain_turn(waiter.job, choice, ahead=ahead, is_first=waiter.job.job_id in heads)
        else:
            reason = explain_cause(cause, waiter.job, ahead=ahead)
        yield waiter.job, reason


def _explain_batch(planner: Planner, batch: Batch, job: WaitingJob) -> Reason:
    """Explain why a job waits that its batch holds back: first what would keep it from starting anyway."""
    if planner.books.homes.find_pools(job):
        return explain_batch(batch)
    shares = planner.books.shares
    queue, contract = shares.provide_queue(job.queue), shares.provide_contract(job.contract_id)
    return explain_held_back(job, queue, contract.share, planner.books.pools)


def _expect_starts(
    planner: Planner, plan: Plan, line: Sequence[tuple[WaitingJob, Choice]], batches: Sequence[Batch]
) -> dict[str, tuple[datetime | None, datetime | None]]:
    """Expect the starts of those in line and of those whom batches hold back, by p50 and by p90."""
    early, late = (_open_line(planner, plan, batches, is_late=is_late) for is_late in (False, True))
    for job, choice in line:
        early.put(job, choice.in_order)
        late.put(job, choice.in_order)
    early.finish()
    late.finish()
    return {job_id: bound_starts(start, late.starts.get(job_id)) for job_id, start in early.starts.items()}


def _open_line(planner: Planner, plan: Plan, batches: Sequence[Batch], *, is_late: bool) -> BatchedLine:
    books = planner.books
    forecast = Forecast.of((pool.state for pool in books.pools.values()), plan.now, is_late=is_late)
    forecast.add_runs(booked.run for booked in books.runs.running.values())
    forecast.add_starts(plan.starts, books.waiting)

    def measure(job: WaitingJob) -> int:
        queue = books.shares.find_queue(job.queue)
        return 0 if queue is None else find_priority(job, queue)

    return BatchedLine(forecast, batches, books.homes.find_pools, measure)

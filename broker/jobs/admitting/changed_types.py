"""The GPU types of a waiting job, changed: those that its customer names, or those of a pool that opened since.

A type that comes in is quoted at the prices of now, beside what was quoted before; the hold then covers each type.
Order of locks: job, hold, contract.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from broker import errors
from broker.capacity import service as capacity
from broker.capacity.start_forecasts import find_queue_starts, list_starts
from broker.contracts import service as contracts
from broker.contracts.terms.model import QuoteGuarantee
from broker.jobs.admitting.type_terms import TypeTerms, keep_paid_types, keep_timely_types, pick_types
from broker.jobs.events import record_event
from broker.jobs.reading.line import find_under_way
from broker.jobs.rules.limits import Limits, QuotedNeed, clip_need, plan_limits, widen_limits
from broker.jobs.rules.model import JobStatus
from broker.jobs.service import lock_job
from broker.jobs.tables import Job
from broker.ledger import service as ledger
from broker.ledger.service import HoldNeed
from broker.persistence.database import wake_dispatcher
from broker.quotes import service as quotes
from broker.quotes.service import Quote, QuotedType, QuoteTerms
from broker.work import STAFF, Work
from pricing.catalog import find_gpu
from pricing.estimate.type_choice import Preference, TypedRun, order_runs
from pricing.money import Money
from pricing.usage import Usage

# So many waiting jobs are looked at in one sweep; the rest in the next ones.
MOST_AT_ONCE = 500


@dataclass(frozen=True)
class TypeChange:
    """The types that a job runs on from now on, its limits and the quote that shows all of them."""

    runs: Sequence[TypedRun]
    limits: Limits
    quote: Quote


async def change_types(work: Work, job_id: str, named: Sequence[str]) -> Job:
    """Let a waiting job run on the types named and on no others; new ones are quoted, and its limits cover them.

    Raises: NotFound, Forbidden, IllegalTransition, InvalidRequest, DeadlineUnreachable, QuoteStale,
    InsufficientBalance, BudgetExceeded, CreditLimitExceeded, NoContractInForce: nothing has changed then.
    """
    job = await lock_job(work, job_id)
    if job.status != JobStatus.QUEUED:
        told = f"Job {job_id} is {job.status}; the GPU types of a waiting job alone can be changed."
        raise errors.IllegalTransition(told, status_before=job.status)
    if job.gpu_types is None or job.quote_id is None:
        raise errors.invalid_field("gpu_types", "the job runs on any type: it was submitted before they were quoted")
    wanted = [_find_sku(name) for name in named]
    before = {run.sku: run for run in job.gpu_types}
    new = [sku for sku in dict.fromkeys(wanted) if sku not in before]
    change = TypeChange([run for sku, run in before.items() if sku in wanted], job.limits, await _get_quote(work, job))
    if new:
        change = await _plan_change(work, job, change, new, named)
    if change.limits != job.limits and work.actor.role in STAFF:
        raise errors.Forbidden("What a job may cost is for its customer to say: these types would raise its limit.")
    await _apply(work, job, change, offered=None)
    return job


@dataclass
class OfferWatch:
    """Up to where a process has looked for jobs to offer types to, and of which types it has found none lacking."""

    open_types: Sequence[str] = ()
    read_from: int | None = None


async def list_jobs_to_offer(work: Work, watch: OfferWatch) -> list[str]:
    """List the waiting jobs that accept whatever fits and were not offered each type that open pools have.

    Where those are the types of the last time, when nobody lacked one, only what has changed since is looked at.
    """
    open_types = await capacity.list_open_types(work)
    if not open_types:
        return []
    read_from = await find_under_way(work)
    known = Job.offered_types.contains(open_types)
    query = select(Job.id).where(Job.status == JobStatus.QUEUED.value, Job.offered_types.is_not(None), ~known)
    if watch.open_types == open_types and watch.read_from is not None and watch.read_from <= read_from:
        query = query.where(Job.changed_in >= watch.read_from)
    found = list(await work.session.scalars(query.order_by(Job.created_at, Job.id).limit(MOST_AT_ONCE)))
    if not found:
        watch.open_types, watch.read_from = open_types, read_from
    return found


async def offer_new_types(work: Work, job_id: str) -> None:
    """Let a waiting job that accepts whatever fits run on the types of pools that opened since, within its promise.

    A type on which the whole job may cost or take more than it was promised, that misses its date, or that its
    contract cannot pay for, is left out.
    """
    job = await lock_job(work, job_id)
    if job.status != JobStatus.QUEUED or job.offered_types is None or job.gpu_types is None:
        return
    offered = set(job.offered_types)
    new = [sku for sku in await capacity.list_open_types(work) if sku not in offered]
    job.offered_types = [*job.offered_types, *new]
    for sku in new:
        change = TypeChange(job.gpu_types, job.limits, await _get_quote(work, job))
        try:
            async with work.session.begin_nested():
                planned = await _plan_change(work, job, change, [sku], None)
                if planned.limits == job.limits and _is_within_sum(job, planned):
                    await _apply(work, job, planned, offered=job.offered_types)
        except errors.DomainError:
            continue


def _is_within_sum(job: Job, change: TypeChange) -> bool:
    """Tell whether the most that a job may cost pays for the whole of it on each type."""
    most = job.max_cost_micros
    return most is None or all(run.price_micros <= most for run in change.runs)


def _find_sku(name: str) -> str:
    gpu = find_gpu(name)
    return name if gpu is None else gpu.sku


async def _get_quote(work: Work, job: Job) -> Quote:
    assert job.quote_id is not None, "its types were quoted"
    return await quotes.get_quote(work, job.quote_id)


async def _plan_change(
    work: Work, job: Job, change: TypeChange, new: Collection[str], named: Sequence[str] | None
) -> TypeChange:
    """Plan that a job may run on new types, too. `named`: all types that its customer names; None: it named none."""
    asked = QuoteTerms(job.contract_id, project_id=job.project_id, gpus=job.gpus)
    quote = await quotes.widen_quote(work, change.quote, asked, new)
    picked = [each for each in pick_types(named or list(new), quote) if each.sku in new]
    types = [await _price_type(work, job, quote, each) for each in picked]
    if job.max_cost_micros is not None:
        types = keep_paid_types(types, Money(job.max_cost_micros))
    if job.finish_by is not None:
        starts = find_queue_starts(await list_starts(work, job.customer_id), job.queue, job.gpus, work.now)
        types = keep_timely_types(types, job.finish_by, work.now, starts)
    limits = widen_limits([change.limits, *(_plan_limits(job, each) for each in types)])
    runs = order_runs([*change.runs, *(each.run for each in types)], Preference(job.prefer))
    return TypeChange(runs, limits, quote)


async def _price_type(work: Work, job: Job, quote: Quote, on: QuotedType) -> TypeTerms:
    terms = await contracts.get_contract(work, job.contract_id)
    shown = quotes.require_quoted_price(quote, on, terms, work.now)
    whole = HoldNeed(Usage(on.estimate.gpu_seconds.p90, on.estimate.tokens), job.project_id, on.sku)
    return TypeTerms(on, shown, whole, await ledger.read_usage_prices(work, terms, on.sku, job.project_id))


def _plan_limits(job: Job, on: TypeTerms) -> Limits:
    """Plan what a job would be promised on one type, by the guarantee that it has."""
    guarantee = None if job.quote_guarantee is None else QuoteGuarantee(job.quote_guarantee)
    if guarantee is None:
        return job.limits
    most = None if job.max_cost_micros is None else Money(job.max_cost_micros)
    quoted = QuotedNeed(on.whole.usage, on.shown.total_p90)
    return plan_limits(guarantee, on.prices, quoted, was_named=guarantee == QuoteGuarantee.PAUSE, max_cost=most)


async def _apply(work: Work, job: Job, change: TypeChange, *, offered: Sequence[str] | None) -> None:
    """Have a job run on these types, its hold cover each, and its customer be told."""
    before = [run.sku for run in job.gpu_types or ()]
    after = [run.sku for run in change.runs]
    limits = change.limits
    job.gpu_types, job.offered_types = list(change.runs), None if offered is None else list(offered)
    job.limit_micros, job.limit_gpu_seconds, job.cap_micros = (
        limits.limit_micros,
        limits.limit_gpu_seconds,
        limits.cap_micros,
    )
    if change.quote.id != job.quote_id:
        await work.run_together(quotes.keep_quotes([change.quote]))
        job.quote_id = change.quote.id
    needs: dict[str | None, Usage] = {
        sku: clip_need(limits, job.spent, await ledger.price_further_usage(work, job.id, sku), need)
        for sku, need in job.needs.items()
    }
    await ledger.adjust_hold(work, job.id, needs=needs)
    facts = {
        "added": [sku for sku in after if sku not in before],
        "left_out": [sku for sku in before if sku not in after],
    }
    record_event(work, job, "gpu_types_changed", facts)
    await wake_dispatcher(work.session)

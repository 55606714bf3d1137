"""Admission: a job is taken in one transaction, with its hold and its place in a queue, or nothing is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker import errors
from broker.capacity import service as capacity
from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms
from broker.contracts.prices import PlanPrices
from broker.datasets import service as datasets
from broker.identity import service as identity
from broker.jobs.events import record_event
from broker.jobs.limits import NOTHING_SPENT, Limits, QuotedNeed, clip_need, plan_limits, require_one_step
from broker.jobs.model import JobStatus
from broker.jobs.service import get_job
from broker.jobs.tables import Job
from broker.ledger import service as ledger
from broker.persistence.database import wake_dispatcher
from broker.quotes import service as quotes
from broker.quotes.service import Quote
from broker.work import Work
from pricing.money import Money
from pricing.usage import Usage


@dataclass(frozen=True)
class JobRequest:
    """What a customer submits. The job pauses when it has cost `max_cost`."""

    customer_id: str
    config: Mapping[str, Any]
    dataset_id: str
    quote_id: str | None = None
    contract_id: str | None = None
    name: str | None = None
    project_id: str | None = None
    queue: str | None = None
    max_cost: Money | None = None


async def submit_job(work: Work, request: JobRequest) -> Job:
    """Admit a job: checks, hold and queue entry together, or nothing.

    Raises: InvalidTrainingConfig, NotFound, QuoteExpired, QuoteMismatch, QuoteStale, NoContractInForce,
    MaxCostExceeded, InsufficientBalance, BudgetExceeded, IdempotencyConflict, InvalidRequest.
    """
    quote = await _quote_for(work, request)
    if quote.customer_id != request.customer_id:
        raise errors.NotFound("dataset", request.dataset_id)
    await datasets.keep_from_deletion(work, request.dataset_id)
    await _check_project(work, request)
    terms = await contracts.lock_contract_in_force(work, request.customer_id, request.contract_id)
    await contracts.require_paid_advance(work, terms)
    charged = PlanPrices(terms.prices_at(work.now, quote.estimate.sku), terms.id)
    shown = quotes.require_quoted_price(quote, charged)
    if request.max_cost is not None:
        require_one_step(quote.estimate.count_need(), charged.prices, request.max_cost)
    queue = capacity.resolve_queue(terms, request.queue)
    quoted = QuotedNeed(Usage(quote.estimate.gpu_seconds.p90, quote.estimate.tokens), shown.total_p90)
    named, guarantee = request.quote_id is not None, terms.quote_guarantee
    limits = plan_limits(guarantee, charged.prices, quoted, was_named=named, max_cost=request.max_cost)
    need = clip_need(limits, NOTHING_SPENT, charged.prices, quoted.usage)
    job_id = work.new_id("job")
    placed = await ledger.place_hold(
        work,
        terms,
        job_id=job_id,
        idempotency_key=_hold_key(work, job_id),
        need=need,
        project_id=request.project_id,
        gpu_type=quote.estimate.sku,
    )
    if placed.hold.job_id != job_id:
        return _check_same_order(await get_job(work, placed.hold.job_id), quote, request.dataset_id)
    job = _new_job(work, job_id, request, quote, terms, queue, limits)
    work.session.add(job)
    await work.session.flush()
    record_event(work, job, "submitted", {"queue": queue, "contract_id": terms.id, "quote_id": quote.id})
    await wake_dispatcher(work.session)
    return job


def _hold_key(work: Work, job_id: str) -> str:
    """Name the hold: it is placed once for each key of each principal, for longer than the edge remembers the key."""
    if work.idempotency_key is None:
        return job_id
    return f"{work.actor.customer_id or work.actor.id}:{work.idempotency_key}"


def _check_same_order(earlier: Job, quote: Quote, dataset_id: str) -> Job:
    """Refuse a key that was used to order something else. Raises: IdempotencyConflict."""
    if (earlier.config, earlier.dataset_id) != (quote.config, dataset_id):
        raise errors.IdempotencyConflict(
            f"The Idempotency-Key was used for job {earlier.id}; send a new key with a new order.",
            errors=[errors.FieldError("Idempotency-Key", "already used for another order")],
        )
    return earlier


async def _quote_for(work: Work, request: JobRequest) -> Quote:
    if request.quote_id is not None:
        return await quotes.accept_quote(work, request.quote_id, request.config, request.dataset_id)
    asked = quotes.QuoteTerms(request.contract_id)
    return await quotes.create_quote(work, request.config, request.dataset_id, asked)


async def _check_project(work: Work, request: JobRequest) -> None:
    if request.project_id is None:
        return
    project = await identity.get_project(work, request.project_id)
    if project.customer_id != request.customer_id:
        raise errors.NotFound("project", request.project_id)


def _new_job(
    work: Work,
    job_id: str,
    request: JobRequest,
    quote: Quote,
    terms: ContractTerms,
    queue: str,
    limits: Limits,
) -> Job:
    return Job(
        id=job_id,
        customer_id=request.customer_id,
        contract_id=terms.id,
        project_id=request.project_id,
        dataset_id=request.dataset_id,
        quote_id=quote.id,
        name=request.name,
        config=quote.config,
        estimate=quote.estimate,
        gpus=1,
        queue=queue,
        status=JobStatus.QUEUED.value,
        quote_guarantee=limits.guarantee,
        max_cost_micros=request.max_cost.micros if request.max_cost else None,
        limit_micros=limits.limit_micros,
        limit_gpu_seconds=limits.limit_gpu_seconds,
        cap_micros=limits.cap_micros,
        used_gpu_seconds=0,
        used_tokens=0,
        cost_micros=0,
        borne_micros=0,
        attempts=0,
        created_at=work.now,
    )

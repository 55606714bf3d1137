"""Jobs: admitted with their hold in one transaction, cancelled, paused, looked up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import errors
from broker.capacity import service as scheduling
from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms
from broker.identity import service as identity
from broker.jobs.limits import Limits, QuotedNeed, plan_limits
from broker.jobs.model import HOLDS_DEVICES, TERMINAL, JobStatus, StopReason, check_job_transition
from broker.jobs.tables import Job, JobEvent, Run
from broker.ledger import service as ledger
from broker.persistence import outbox
from broker.persistence.database import wake_dispatcher
from broker.quotes import service as quotes
from broker.quotes.tables import Quote
from broker.work import Work
from pricing.money import Money
from pricing.quote import compare_plans


@dataclass(frozen=True)
class JobRequest:
    """What a customer submits. The job pauses when it has cost `max_cost`."""

    customer_id: str
    config: Mapping[str, Any]
    dataset_id: str
    quote_id: str | None = None
    contract_id: str | None = None
    project_id: str | None = None
    queue: str | None = None
    max_cost: Money | None = None


async def submit_job(work: Work, request: JobRequest) -> Job:
    """Admit a job: checks, hold and queue entry together, or nothing.

    Raises: InvalidTrainingConfig, NotFound, QuoteExpired, QuoteMismatch, NoContractInForce, MaxCostExceeded,
    InsufficientBalance, BudgetExceeded, IdempotencyConflict, InvalidRequest.
    """
    quote = await _quote_for(work, request)
    if quote.customer_id != request.customer_id:
        raise errors.NotFound("dataset", request.dataset_id)
    await _check_project(work, request)
    terms = await contracts.find_contract_in_force(work, request.customer_id, request.contract_id)
    _check_max_cost(terms, quote, request.max_cost)
    queue = scheduling.resolve_queue(terms, request.queue)
    job_id = work.new_id("job")
    view = await ledger.place_hold(
        work,
        terms.id,
        job_id=job_id,
        idempotency_key=_hold_key(work, job_id),
        gpu_seconds=quote.estimate["gpu_seconds"]["p90"],
        tokens=quote.estimate["tokens"],
    )
    if view.hold.job_id != job_id:
        return _check_same_order(await get_job(work, view.hold.job_id), quote, request.dataset_id)
    limits = plan_limits(
        terms, _read_need(quote, terms), was_named=request.quote_id is not None, max_cost=request.max_cost
    )
    job = _new_job(work, job_id, request, quote, terms, queue, limits)
    work.session.add(job)
    await work.session.flush()
    record_event(work, job, "submitted", {"queue": queue, "contract_id": terms.id, "quote_id": quote.id})
    await wake_dispatcher(work.session)
    return job


def _hold_key(work: Work, job_id: str) -> str:
    """A hold is placed once for each key of each principal, for longer than the edge remembers the key's answer."""
    if work.idempotency_key is None:
        return job_id
    return f"{work.actor.customer_id or work.actor.id}:{work.idempotency_key}"


def _check_same_order(earlier: Job, quote: Quote, dataset_id: str) -> Job:
    """Raises: IdempotencyConflict, where the key was used to order something else."""
    if (earlier.config, earlier.dataset_id) != (quote.config, dataset_id):
        raise errors.IdempotencyConflict(
            f"The Idempotency-Key was used for job {earlier.id}; send a new key with a new order.",
            errors=[errors.FieldError("Idempotency-Key", "already used for another order")],
        )
    return earlier


async def _quote_for(work: Work, request: JobRequest) -> Quote:
    if request.quote_id is not None:
        return await quotes.accept_quote(work, request.quote_id, request.config, request.dataset_id)
    return await quotes.create_quote(work, request.config, request.dataset_id)


async def _check_project(work: Work, request: JobRequest) -> None:
    if request.project_id is None:
        return
    project = await identity.get_project(work, request.project_id)
    if project.customer_id != request.customer_id:
        raise errors.NotFound("project", request.project_id)


def _check_max_cost(terms: ContractTerms, quote: Quote, max_cost: Money | None) -> None:
    if max_cost is None:
        return
    estimate = quote.estimate
    prices = compare_plans(terms.card, gpu_seconds=estimate["gpu_seconds"]["p50"], tokens=estimate["tokens"])
    expected = next(price.total for price in prices if price.plan == terms.plan)
    if expected > max_cost:
        raise errors.MaxCostExceeded(
            f"The job is expected to cost {expected.format_amount()}; max_cost is {max_cost.format_amount()}.",
            errors=[errors.FieldError("max_cost", f"must be at least {expected.format_amount()}")],
        )


def _read_need(quote: Quote, terms: ContractTerms) -> QuotedNeed:
    return QuotedNeed(
        gpu_seconds=quote.estimate["gpu_seconds"]["p90"],
        tokens=quote.estimate["tokens"],
        total=quotes.find_total_p90(quote, terms.plan),
    )


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


async def get_job(work: Work, job_id: str) -> Job:
    """Raises: NotFound."""
    job = await work.session.get(Job, job_id)
    if job is None:
        raise errors.NotFound("job", job_id)
    return job


async def is_live(work: Work, job_id: str) -> bool:
    """Whether the job exists and may still use something."""
    job = await work.session.get(Job, job_id)
    return job is not None and JobStatus(job.status) not in TERMINAL


async def lock_job(work: Work, job_id: str) -> Job:
    """The job, locked. Every change of a job or its runs takes this lock first, then the contract's.

    Raises: NotFound.
    """
    job = await work.session.get(Job, job_id, with_for_update={"key_share": True}, populate_existing=True)
    if job is None:
        raise errors.NotFound("job", job_id)
    return job


def set_status(work: Work, job: Job, status: JobStatus) -> None:
    """Raises: IllegalTransition."""
    check_job_transition(job.id, JobStatus(job.status), status)
    job.status = status.value
    job.pause_reason = None
    if status != JobStatus.QUEUED:
        job.pending_reason, job.expected_start = None, None
    if status in TERMINAL:
        job.finished_at = work.now


def record_event(work: Work, job: Job, kind: str, data: dict[str, Any]) -> None:
    work.session.add(JobEvent(customer_id=job.customer_id, job_id=job.id, kind=kind, data=data, created_at=work.now))


async def cancel_job(work: Work, job_id: str) -> Job:
    """End a job: at once where it holds no devices, else as soon as its run has stopped. What it used is billed.

    Raises: NotFound, IllegalTransition.
    """
    job = await lock_job(work, job_id)
    if JobStatus(job.status) in HOLDS_DEVICES:
        await request_stop(work, job, StopReason.CANCEL)
        return job
    set_status(work, job, JobStatus.CANCELLED)
    await ledger.settle_hold(work, job.id)
    record_event(work, job, "cancelled", {})
    return job


async def pause_job(work: Work, job_id: str) -> Job:
    """Take a job out of the queue, or stop its run after a checkpoint; its hold stays.

    Raises: NotFound, IllegalTransition.
    """
    job = await lock_job(work, job_id)
    if JobStatus(job.status) in HOLDS_DEVICES:
        await request_stop(work, job, StopReason.PAUSE)
        return job
    set_status(work, job, JobStatus.PAUSED)
    job.pause_reason = StopReason.PAUSE.value
    record_event(work, job, "paused", {"reason": StopReason.PAUSE.value})
    return job


async def request_stop(work: Work, job: Job, reason: StopReason) -> None:
    """Tell the run of a locked job to stop: by its next heartbeat and, in case it does not listen, by its engine.

    A stop for the same reason changes nothing; a cancellation overrides every other reason and is final.
    Raises: IllegalTransition, where the job is being cancelled and was to be stopped for something else.
    """
    earlier = job.stop_requested
    if earlier == reason:
        return
    if earlier == StopReason.CANCEL:
        raise errors.IllegalTransition(f"Job {job.id} is being cancelled.", status_before=job.status)
    job.stop_requested = reason.value
    record_event(work, job, "stop_requested", {"reason": reason.value})
    if earlier is not None:
        return
    run = await find_active_run(work.session, job.id)
    assert run is not None, "a job that holds devices has an active run"
    await outbox.enqueue(work.session, pool=run.pool, kind="stop", run_id=run.id, now=work.now)


async def find_active_run(session: AsyncSession, job_id: str) -> Run | None:
    query = select(Run).where(Run.job_id == job_id, Run.status.in_(("starting", "running")))
    return (await session.scalars(query)).one_or_none()


async def list_runs(work: Work, job_id: str) -> list[Run]:
    query = select(Run).where(Run.job_id == job_id).order_by(Run.attempt)
    return list((await work.session.scalars(query)).all())


async def list_events(work: Work, job_id: str, *, after: int, limit: int) -> list[JobEvent]:
    query = select(JobEvent).where(JobEvent.job_id == job_id, JobEvent.id > after).order_by(JobEvent.id).limit(limit)
    return list((await work.session.scalars(query)).all())

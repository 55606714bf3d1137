"""Resuming a paused job: under a raised limit where it needs one, with a hold of what is left of it."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.jobs.events import record_event
from broker.jobs.rules.limits import clip_need, has_reached_limit
from broker.jobs.rules.model import JobStatus
from broker.jobs.service import lock_job, set_status
from broker.jobs.tables import Job
from broker.ledger import service as ledger
from broker.persistence.database import wake_dispatcher
from broker.work import Role, Work
from pricing.money import Money
from pricing.usage import Usage


async def resume_job(work: Work, job_id: str, max_cost: Money | None = None) -> Job:
    """Put a paused job back into its queue; it goes on from its last checkpoint.

    A GPU type that its contract cannot pay for any more is left out, as long as another is left.
    Raises: NotFound, Forbidden, IllegalTransition; MaxCostExceeded, InsufficientBalance, where it would stop again at
    once; NoContractInForce, InArrears, BudgetExceeded, CreditLimitExceeded, where what is left of it cannot be held.
    """
    job = await lock_job(work, job_id)
    if job.status != JobStatus.PAUSED:
        stopping = " It has not stopped yet; resume it once it is paused." if job.stop_requested else ""
        raise errors.IllegalTransition(
            f"Job {job_id} is {job.status}; only a paused job can be resumed.{stopping}", status_before=job.status
        )
    if max_cost is not None:
        _replace_limit(work, job, max_cost)
    needs = await _list_needs(work, job)
    terms = await contracts.get_contract(work, job.contract_id)
    contracts.require_paid_advance(terms, await contracts.list_grants(work, terms.id))
    held = await _hold(work, job, needs)
    left_out = _keep_types(job, held)
    set_status(work, job, JobStatus.QUEUED)
    record_event(work, job, "resumed", {"left_out": left_out} if left_out else {})
    await wake_dispatcher(work.session)
    return job


async def _list_needs(work: Work, job: Job) -> dict[str | None, Usage]:
    """List what is to be held for what is left of a job on each GPU type on which it would not stop again at once.

    Raises: MaxCostExceeded, NoContractInForce, InsufficientBalance, where there is none.
    """
    hold = await ledger.get_hold(work, job.id)
    shortages = {
        gpu_type: await ledger.find_shortage(work, replace(hold, run_gpu_type=gpu_type), promise=job.promise)
        for gpu_type in job.needs
    }
    if has_reached_limit(job.limits, job.spent) or None not in shortages.values():
        raise _refuse_to_go_on(job, hold.terms, next(iter(shortages.values())))
    return {
        gpu_type: clip_need(job.limits, job.spent, await ledger.price_further_usage(work, job.id, gpu_type), need)
        for gpu_type, need in job.needs.items()
        if shortages[gpu_type] is None
    }


async def _hold(work: Work, job: Job, needs: Mapping[str | None, Usage]) -> Collection[str | None]:
    """Hold what is left on each type; where not all can be paid for any more, on those that can. Returns the types.

    Raises: InsufficientBalance, BudgetExceeded, CreditLimitExceeded, where none can.
    """
    try:
        async with work.session.begin_nested():
            await ledger.adjust_hold(work, job.id, needs=needs)
    except ledger.UNPAID:
        payable = {each: need for each, need in needs.items() if await _can_hold(work, job, {each: need})}
        if not payable:
            raise
        await ledger.adjust_hold(work, job.id, needs=payable)
        return payable
    return needs


async def _can_hold(work: Work, job: Job, needs: Mapping[str | None, Usage]) -> bool:
    """Tell whether the contract pays for what is left on a type; nothing stays held for it."""
    tried = await work.session.begin_nested()
    try:
        await ledger.adjust_hold(work, job.id, needs=needs)
    except ledger.UNPAID:
        return False
    finally:
        await tried.rollback()
    return True


def _keep_types(job: Job, held: Collection[str | None]) -> list[str]:
    """Let a job run on no type that its hold does not cover; returns those that are left out."""
    if job.gpu_types is None:
        return []
    left_out = [run.sku for run in job.gpu_types if run.sku not in held]
    if left_out:
        job.gpu_types = [run for run in job.gpu_types if run.sku in held]
    return left_out


def _replace_limit(work: Work, job: Job, max_cost: Money) -> None:
    """Let the customer's own `max_cost` count from now on, and no longer the quote's limit; a cap stays."""
    if work.actor.role == Role.OPS:
        raise errors.Forbidden("What a job may cost is for its customer to say: resume it without max_cost.")
    job.max_cost_micros = job.limit_micros = max_cost.micros
    job.limit_gpu_seconds = None
    record_event(work, job, "limit_raised", {"max_cost": max_cost.format_amount()})


def _refuse_to_go_on(job: Job, terms: ContractTerms, shortage: ledger.Shortage | None) -> errors.DomainError:
    """Tell why a job would stop again at once; None: it has reached its own limit."""
    if shortage == ledger.Shortage.ARREARS:
        return ledger.refuse_in_arrears(terms, "this job waits: nothing that is paid would pay for it")
    if shortage in {None, ledger.Shortage.LIMIT} or has_reached_limit(job.limits, job.spent):
        cost = Money(job.cost_micros)
        least = max(cost, job.promise.limit or cost).format_amount()
        return errors.MaxCostExceeded(
            f"Job {job.id} has cost {cost.format_amount()}, and its limit pays for no more: resume it with a max_cost "
            f"above {least}.",
            errors=[errors.FieldError("max_cost", f"must be more than {least}")],
        )
    if shortage == ledger.Shortage.CONTRACT_ENDED:
        return errors.NoContractInForce(
            f"Contract {job.contract_id} has ended; submit the job under another.", contract_id=job.contract_id
        )
    return errors.InsufficientBalance(
        f"Job {job.id} has used all that its contract allows, and nothing is left for it to go on."
    )

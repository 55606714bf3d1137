"""Resuming a paused job: under a raised limit where it needs one, with a hold of what is left of it."""

from broker import errors
from broker.contracts import service as contracts
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

    Raises: NotFound, Forbidden, IllegalTransition; MaxCostExceeded, InsufficientBalance, where it would stop again at
    once; NoContractInForce, BudgetExceeded, where what is left of it cannot be held.
    """
    job = await lock_job(work, job_id)
    if job.status != JobStatus.PAUSED:
        stopping = " It has not stopped yet; resume it once it is paused." if job.stop_requested else ""
        raise errors.IllegalTransition(
            f"Job {job_id} is {job.status}; only a paused job can be resumed.{stopping}", status_before=job.status
        )
    if max_cost is not None:
        _replace_limit(work, job, max_cost)
    await _check_may_go_on(work, job)
    terms = await contracts.get_contract(work, job.contract_id)
    contracts.require_paid_advance(terms, await contracts.list_grants(work, terms.id))
    await ledger.adjust_hold(work, job.id, needs=await _list_needs(work, job))
    set_status(work, job, JobStatus.QUEUED)
    record_event(work, job, "resumed", {})
    await wake_dispatcher(work.session)
    return job


async def _list_needs(work: Work, job: Job) -> dict[str | None, Usage]:
    """List what is to be held for what is left of a job on each GPU type that it may run on."""
    return {
        gpu_type: clip_need(job.limits, job.spent, await ledger.price_further_usage(work, job.id, gpu_type), need)
        for gpu_type, need in job.needs.items()
    }


def _replace_limit(work: Work, job: Job, max_cost: Money) -> None:
    """Let the customer's own `max_cost` count from now on, and no longer the quote's limit; a cap stays."""
    if work.actor.role == Role.OPS:
        raise errors.Forbidden("What a job may cost is for its customer to say: resume it without max_cost.")
    job.max_cost_micros = job.limit_micros = max_cost.micros
    job.limit_gpu_seconds = None
    record_event(work, job, "limit_raised", {"max_cost": max_cost.format_amount()})


async def _check_may_go_on(work: Work, job: Job) -> None:
    hold = await ledger.get_hold(work, job.id)
    shortage = await ledger.find_shortage(work, hold, promise=job.promise)
    if has_reached_limit(job.limits, job.spent) or shortage == ledger.Shortage.LIMIT:
        cost = Money(job.cost_micros)
        least = max(cost, job.promise.limit or cost).format_amount()
        raise errors.MaxCostExceeded(
            f"Job {job.id} has cost {cost.format_amount()}, and its limit pays for no more: resume it with a max_cost "
            f"above {least}.",
            errors=[errors.FieldError("max_cost", f"must be more than {least}")],
        )
    if shortage == ledger.Shortage.CONTRACT_ENDED:
        raise errors.NoContractInForce(
            f"Contract {job.contract_id} has ended; submit the job under another.", contract_id=job.contract_id
        )
    if shortage is not None:
        raise errors.InsufficientBalance(
            f"Job {job.id} has used all that its contract allows, and nothing is left for it to go on."
        )

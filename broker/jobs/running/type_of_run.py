"""What a job is expected to need on the GPU type that it is started on, and what it has used, counted as on that."""

from sqlalchemy import func, select

from broker.jobs.rules.remaining import move_to_type
from broker.jobs.tables import Job, Run
from broker.quotes import service as quotes
from broker.quotes.service import QuotedType
from broker.work import Work
from pricing.estimate.type_choice import count_as_on


async def expect_on_type(work: Work, job: Job, gpu_type: str) -> None:
    """Let a locked job's estimate, and what is left of it, be those of the type that it starts on, as its quote has it.

    A job of before, which accepts whatever type, keeps the estimate of its quote.
    """
    before = job.estimate
    if job.gpu_types is None or job.quote_id is None or before.sku == gpu_type:
        return
    quote = await quotes.get_quote(work, job.quote_id)
    found = (each for each in quote.gpu_types if isinstance(each, QuotedType) and each.sku == gpu_type)
    job.estimate = next(found).estimate
    if job.remaining is not None:
        job.remaining = move_to_type(job.remaining, before, job.estimate, job.gpu_types)


async def count_usage_as_on(work: Work, job: Job, gpu_type: str | None) -> int:
    """Count the GPU-seconds that a locked job has used as those of one type: its pace is told by them."""
    types = job.gpu_types or []
    if len(types) < 2 or gpu_type is None:
        return job.used_gpu_seconds
    query = select(Run.gpu_type, func.sum(Run.used_gpu_seconds)).where(Run.job_id == job.id).group_by(Run.gpu_type)
    used = {on: int(seconds) for on, seconds in await work.session.execute(query)}
    return count_as_on(gpu_type, used, types)

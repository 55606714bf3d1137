"""Who waits, added up by contract, queue, GPU type and reason: as few rows as there are of these, in one statement."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Numeric, case, cast, func, select

from broker.jobs.reading.queueing import NOT_PLANNED
from broker.jobs.rules.model import JobStatus
from broker.jobs.tables import Job
from broker.work import Work

MOST_SECONDS = 2**40
# The p50 of what is left of a job, on the type that it would rather have; what cannot be read counts as nothing. It is
# read of the narrowest column that has it: of an estimate, 100,000 jobs take seconds. Units: GPU-seconds.
LEFT = func.coalesce(Job.remaining["gpu_seconds"]["p50"], Job.gpu_types[0]["p50_seconds"])
LEFT_SECONDS = case((func.jsonb_typeof(LEFT) == "number", func.least(cast(LEFT, Numeric), MOST_SECONDS)), else_=0)


@dataclass(frozen=True)
class WaitingSum:
    """Jobs that wait for one reason. `sku` is the GPU type that they would rather have; None: any.

    `oldest_at`: when the one that has waited longest came. `left_gpu_seconds`: the p50 of what they need. Units: whole
    GPUs, GPU-seconds.
    """

    customer_id: str
    contract_id: str
    queue: str
    priority: int | None
    is_expedited: bool
    sku: str | None
    reason: str
    jobs: int
    gpus: int
    oldest_at: datetime
    left_gpu_seconds: int = 0


async def add_up_waiting(work: Work) -> list[WaitingSum]:
    """Add up the jobs that wait."""
    groups = (
        Job.customer_id,
        Job.contract_id,
        Job.queue,
        Job.priority,
        Job.expedited_at.is_not(None).label("is_expedited"),
        Job.gpu_types[0]["sku"].as_string().label("sku"),
        func.coalesce(Job.pending_reason["code"].as_string(), NOT_PLANNED).label("reason"),
    )
    sums = (func.count(), cast(func.sum(Job.gpus), BigInteger), func.min(Job.created_at))
    query = select(*groups, *sums, cast(func.sum(LEFT_SECONDS), BigInteger))
    query = query.where(Job.status == JobStatus.QUEUED.value).group_by(*groups)
    return [WaitingSum(*row) for row in await work.session.execute(query)]

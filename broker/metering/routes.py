"""Usage: CloudEvents in, intervals out."""

from typing import Annotated

from fastapi import Body, Query
from pydantic import Field

from broker.http.edge import AnyKey, FinanceWork, RunWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import Cursor, FenceHeader, Limit, OfCustomer, Page
from broker.jobs.locked_run import lock_metered_run
from broker.jobs.service import get_job
from broker.metering import service
from broker.metering.evidence import Doubt
from broker.metering.listing import list_usage
from broker.metering.model import UsageCloudEvent
from broker.metering.quarantine import QuarantineFilter, select_quarantined
from broker.metering.schemas import QuarantinedIntervalOut, QuarantinedUsageOut, UsageAcceptedOut, UsageListOut
from broker.metering.tables import QuarantinedUsage

router = feature_router("", "metering")

UsageLimit = Annotated[int, Query(ge=1, le=1000, description="Intervals on one page.", examples=[100])]
UsageCursor = Annotated[
    str | None,
    Query(
        pattern=r"^run_[0-9a-z]{1,40}/[0-9]{1,16}$",
        description="`next_cursor` of the page before.",
        examples=["run_01k/99"],
    ),
]


@router.post("/usage-events", status_code=202)
async def record_usage_events(
    work: RunWork,
    fence_token: FenceHeader,
    body: Annotated[
        UsageCloudEvent | Annotated[list[UsageCloudEvent], Field(max_length=1000)],
        Body(description="One CloudEvent (`application/cloudevents+json`) or a batch."),
    ],
) -> UsageAcceptedOut:
    """Record intervals of a run, also late ones of a run that has ended. Sending them again changes nothing."""
    events = body if isinstance(body, list) else [body]
    locked = await lock_metered_run(work, work.actor.id, fence_token)
    taken = await service.take_usage(work, locked, events)
    return UsageAcceptedOut(
        accepted=len(events) - len(taken.quarantined),
        acknowledged_sequence=locked.run.acknowledged_sequence,
        quarantined=QuarantinedIntervalOut.list_of(taken.quarantined),
    )


@router.get("/quarantined-usage")
async def list_quarantined_usage(
    work: FinanceWork,
    customer_id: OfCustomer = None,
    contract_id: Annotated[str | None, Query(description="Only of this contract.", examples=["con_01k"])] = None,
    job_id: Annotated[str | None, Query(description="Only of this job.", examples=["job_01k"])] = None,
    reason: Annotated[Doubt | None, Query(description="Only for this reason.", examples=["over_budget"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[QuarantinedUsageOut]:
    """List usage that was reported and is charged to nobody, the newest first."""
    query = select_quarantined(QuarantineFilter(customer_id, contract_id, job_id, reason))
    rows, after = await fetch_page(work.session, query, QuarantinedUsage, limit=limit, cursor=cursor)
    return Page(data=[QuarantinedUsageOut.of(row) for row in rows], next_cursor=after)


@router.get("/jobs/{job_id}/usage", tags=["jobs"])
async def list_job_usage(
    work: AnyKey, job_id: str, limit: UsageLimit = 100, cursor: UsageCursor = None
) -> UsageListOut:
    """List the usage intervals that the job's charges are made of, and their sums."""
    await get_job(work, job_id)
    return UsageListOut.of(await list_usage(work, job_id, limit=limit, cursor=cursor))


@router.get("/usage")
async def list_usage_of_job(
    work: AnyKey,
    job_id: Annotated[str, Query(description="The job whose intervals to list.", examples=["job_01k"])],
    limit: UsageLimit = 100,
    cursor: UsageCursor = None,
) -> UsageListOut:
    """List the usage intervals of a job, and their sums."""
    return await list_job_usage(work, job_id, limit, cursor)

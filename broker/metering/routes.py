"""Usage: CloudEvents in, intervals out."""

from typing import Annotated

from fastapi import Body, Header, Query

from broker.http.edge import AnyKey, RunWork, feature_router
from broker.jobs.runs import hold_run, require_active
from broker.jobs.service import get_job
from broker.metering import service
from broker.metering.model import UsageCloudEvent
from broker.metering.schemas import UsageAcceptedOut, UsageListOut

router = feature_router("", "metering")

FenceHeader = Annotated[int, Header(alias="X-Fence-Token", description="Fence token of the run.", examples=[1])]


@router.post("/usage-events", status_code=202)
async def record_usage_events(
    work: RunWork,
    fence_token: FenceHeader,
    body: Annotated[
        UsageCloudEvent | list[UsageCloudEvent],
        Body(description="One CloudEvent (`application/cloudevents+json`) or a batch."),
    ],
) -> UsageAcceptedOut:
    """Late intervals of a run that still lives; again is harmless."""
    events = body if isinstance(body, list) else [body]
    held = await hold_run(work, work.actor.id, fence_token)
    require_active(held)
    await service.record_usage(work, held, events)
    return UsageAcceptedOut(accepted=len(events), acknowledged_sequence=held.run.acknowledged_sequence)


@router.get("/usage")
async def list_usage(
    work: AnyKey, job_id: Annotated[str, Query(description="The job whose intervals to list.", examples=["job_01k"])]
) -> UsageListOut:
    await get_job(work, job_id)
    return UsageListOut.of(await service.list_usage(work, job_id))

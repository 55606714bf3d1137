"""Usage: CloudEvents in, intervals out."""

from typing import Annotated

from fastapi import Body, Query

from broker.http.edge import AnyKey, RunWork, feature_router
from broker.http.shapes import FenceHeader
from broker.jobs.locked_run import lock_run, require_active
from broker.jobs.service import get_job
from broker.metering import service
from broker.metering.model import UsageCloudEvent
from broker.metering.schemas import UsageAcceptedOut, UsageListOut
from broker.work import Work

router = feature_router("", "metering")


@router.post("/usage-events", status_code=202)
async def record_usage_events(
    work: RunWork,
    fence_token: FenceHeader,
    body: Annotated[
        UsageCloudEvent | list[UsageCloudEvent],
        Body(description="One CloudEvent (`application/cloudevents+json`) or a batch."),
    ],
) -> UsageAcceptedOut:
    """Record late intervals of a run that still lives. Sending them again changes nothing."""
    events = body if isinstance(body, list) else [body]
    locked = await lock_run(work, work.actor.id, fence_token)
    require_active(locked)
    await service.record_usage(work, locked, events)
    return UsageAcceptedOut(accepted=len(events), acknowledged_sequence=locked.run.acknowledged_sequence)


@router.get("/jobs/{job_id}/usage", tags=["jobs"])
async def list_job_usage(work: AnyKey, job_id: str) -> UsageListOut:
    """List the usage intervals that the job's charges are made of."""
    return await _answer_usage(work, job_id)


@router.get("/usage")
async def list_usage(
    work: AnyKey, job_id: Annotated[str, Query(description="The job whose intervals to list.", examples=["job_01k"])]
) -> UsageListOut:
    return await _answer_usage(work, job_id)


async def _answer_usage(work: Work, job_id: str) -> UsageListOut:
    await get_job(work, job_id)
    return UsageListOut.of(await service.list_usage(work, job_id))

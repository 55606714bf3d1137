"""Why a job does not run, and who is ahead of one that waits, as it was told its place last."""

from copy import copy
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from broker.http.edge import AnyKey, feature_router
from broker.jobs import service
from broker.jobs.eviction_schemas import EvictionOut
from broker.jobs.lost_work_schemas import JobDetailOut
from broker.jobs.reading.evictions import list_evictions
from broker.jobs.reading.sooner import list_sooner
from broker.jobs.reading.waiting_page import LineRow, list_ahead
from broker.jobs.rules.model import JobStatus
from broker.jobs.schemas import ExpectedEndOut, JobOut, PendingReasonOut, StopWord
from broker.jobs.service import Job
from broker.jobs.sooner_schemas import SoonerStartOut
from broker.work import STAFF, Work

router = feature_router("/jobs", "jobs")
MOST_AHEAD = 100
Nearest = Annotated[int, Query(ge=1, le=MOST_AHEAD, description="So many of the nearest at most.", examples=[10])]


class JobAheadOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="The job.", examples=["job_01k"])
    name: str | None = Field(description="What its customer calls it.", examples=["brand tone"])
    customer_id: str = Field(description="Whose it is.", examples=["cus_01k"])
    contract_id: str = Field(description="Who pays for it.", examples=["con_01k"])
    queue: str = Field(description="Its queue.", examples=["standard"])
    priority: int | None = Field(description="Its own, by ops; null: its queue's.", examples=[None])
    gpus: int = Field(description="So many GPUs it needs.", examples=[1])
    sku: str | None = Field(description="The GPU type that it would rather have; null: any.", examples=["rtx4090"])
    position: int = Field(description="Its place in the planner's order, from 1.", examples=[59999])
    code: str = Field(description="What it waits for.", examples=["behind_earlier_jobs"])
    is_expedited: bool = Field(description="Whether it goes first since it lost its machine.", examples=[False])
    expected_start: datetime | None = Field(
        description="When it is expected to start (UTC); null: nobody knows.", examples=["2026-11-24T10:05:00Z"]
    )
    created_at: datetime = Field(description="When it was submitted (UTC).", examples=["2026-11-24T10:00:00Z"])

    @classmethod
    def of(cls, row: LineRow) -> "JobAheadOut":
        reason = row.reason or {}
        return cls.model_validate({**vars(row), "position": row.position, "code": reason.get("code")})


class JobsAheadOut(BaseModel):
    object: Literal["jobs_ahead"] = Field(default="jobs_ahead", description="Kind of object.", examples=["jobs_ahead"])
    job_id: str = Field(description="The job that waits.", examples=["job_01k"])
    ahead: int | None = Field(
        description="So many are ahead of it, whosever they are; null: it was told no place, or does not wait.",
        examples=[59999],
    )
    data: list[JobAheadOut] = Field(
        description="The nearest that you may see, in order: a customer sees its own.", examples=[[]]
    )


def _as_of_job(name: str) -> Any:
    """Take a field as a job itself is described with."""
    return copy(JobDetailOut.model_fields[name])


class JobWhyOut(BaseModel):
    object: Literal["job_why"] = Field(default="job_why", description="Kind of object.", examples=["job_why"])
    id: str = Field(description="The job.", examples=["job_01k"])
    status: JobStatus = Field(description="Where the job stands.", examples=["queued"])
    pending_reason: PendingReasonOut | None = _as_of_job("pending_reason")
    expected_start: datetime | None = _as_of_job("expected_start")
    latest_start: datetime | None = _as_of_job("latest_start")
    expected_end: ExpectedEndOut | None = _as_of_job("expected_end")
    sooner: list[SoonerStartOut] = _as_of_job("sooner")
    stop_requested: StopWord | None = _as_of_job("stop_requested")
    pause_reason: str | None = _as_of_job("pause_reason")
    error: dict[str, Any] | None = _as_of_job("error")
    evictions: list[EvictionOut] = _as_of_job("evictions")
    ahead: JobsAheadOut = Field(
        description="How many are ahead of it, and the nearest ten of them.", examples=[{"ahead": 2, "data": []}]
    )


@router.get("/{job_id}/why")
async def get_job_why(work: AnyKey, job_id: str) -> JobWhyOut:
    """Get why a job does not run: what it waits for, what helps, who is ahead; or why it has stopped, or failed."""
    job = await service.get_job(work, job_id)
    told = JobOut.of(job, work.now).model_dump(include=set(JobWhyOut.model_fields) - {"object"})
    cards = await list_evictions(work, job_id)
    return JobWhyOut(
        **told,
        sooner=[SoonerStartOut.of(each) for each in await list_sooner(work, job)],
        evictions=[EvictionOut.of(card, for_staff=work.actor.role in STAFF) for card in cards],
        ahead=await _describe_ahead(work, job, limit=10),
    )


@router.get("/{job_id}/ahead")
async def get_jobs_ahead(work: AnyKey, job_id: str, limit: Nearest = 10) -> JobsAheadOut:
    """Get how many jobs are ahead of one that waits, and the nearest of them, however far behind it stands.

    It is as they were told their places last. A customer is told of its own jobs only, staff of all.
    """
    return await _describe_ahead(work, await service.get_job(work, job_id), limit=limit)


async def _describe_ahead(work: Work, job: Job, *, limit: int) -> JobsAheadOut:
    position = None if job.pending_reason is None else job.pending_reason.get("position")
    if job.status != JobStatus.QUEUED or position is None:
        return JobsAheadOut(job_id=job.id, ahead=None, data=[])
    nearest = await list_ahead(work, job, limit=limit)
    return JobsAheadOut(job_id=job.id, ahead=position - 1, data=[JobAheadOut.of(row) for row in nearest])

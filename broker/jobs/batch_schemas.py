"""API shape of a batch of jobs, which were submitted in one request."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field

from broker.jobs.schemas import JobOut
from broker.jobs.tables import Job


class JobBatchOut(BaseModel):
    id: str = Field(description="Batch id: `GET /v1/jobs?batch_id=` lists its jobs.", examples=["bat_01k"])
    object: Literal["job_batch"] = Field(default="job_batch", description="Kind of object.", examples=["job_batch"])
    at_once: int | None = Field(description="So many may run at one time; null: all.", examples=[2])
    data: list[JobOut] = Field(
        description="The jobs, one for each configuration, in their order.", examples=[[{"id": "job_01k"}]]
    )

    @classmethod
    def of(cls, jobs: Sequence[Job], now: datetime) -> Self:
        first = jobs[0]
        return cls(id=first.batch_id or "", at_once=first.batch_at_once, data=[JobOut.of(job, now) for job in jobs])

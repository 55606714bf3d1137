"""API shapes of a batch of jobs, which are submitted in one request."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field

from broker.http.labels import Labels
from broker.http.plain_text import PlainLine
from broker.http.shapes import Moment, RequestBody
from broker.jobs.schemas import LONGEST_NAME, MOST_GPU_TYPES, GpuType, JobOut, MaxCost
from broker.jobs.tables import Job
from broker.quotes.shapes.config_schemas import CONFIG_EXAMPLE, ConfigIn
from broker.quotes.shapes.schemas import Gpus
from pricing.estimate.type_choice import Preference

MOST_JOBS = 100


class JobBatchIn(RequestBody):
    configs: list[ConfigIn] = Field(
        min_length=1,
        max_length=MOST_JOBS,
        description="Configurations to train, a job each; each with the keys of the trainer's YAML file.",
        examples=[[CONFIG_EXAMPLE, {**CONFIG_EXAMPLE, "lora_rank": 16}]],
    )
    dataset_id: str = Field(description="An uploaded data set, for all of them.", examples=["dat_01k"])
    at_once: int | None = Field(
        default=None,
        ge=1,
        le=MOST_JOBS,
        description="So many of them may run at one time, in their order; 1: one after another. Default: all.",
        examples=[2],
    )
    contract_id: str | None = Field(
        default=None, description="Needed only where several contracts are in force.", examples=["con_01k"]
    )
    name: PlainLine | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_NAME - 5,
        description="A name for people; each job has it with its number.",
        examples=["ranks of the brand tone"],
    )
    project_id: str | None = Field(default=None, description="The project of all of them.", examples=["prj_01k"])
    labels: Labels = Field(default_factory=dict)
    queue: str | None = Field(default=None, description="Default: the plan's own queue.", examples=["standard"])
    max_cost: MaxCost | None = Field(
        default=None,
        description="Most each job may cost, in yuan; it is paused when it has cost so much.",
        examples=["38.20"],
    )
    gpus: Gpus = 1
    gpu_types: list[GpuType] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_GPU_TYPES,
        description="The GPU types that each may run on; default: all that it fits on and can pay for.",
        examples=[["rtx-4090", "h100-80g"]],
    )
    prefer: Preference = Field(
        default=Preference.CHEAPEST, description="Which of them each would rather have.", examples=["fastest"]
    )
    finish_by: Moment | None = Field(
        default=None,
        description="When each should have ended, were there none of the others (UTC).",
        examples=["2026-11-24T18:00:00Z"],
    )
    customer_id: str | None = Field(default=None, description="Needed with a staff key only.", examples=["cus_01k"])


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

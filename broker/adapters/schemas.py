"""API shapes of adapters."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from broker.adapters.model import Stage
from broker.adapters.service import Known
from broker.adapters.tables import Adapter
from broker.http.plain_text import PlainLine
from broker.http.shapes import MoneyOut, RequestBody, as_hours, created_at_field
from broker.jobs.service import Job

MOST_TAGS = 20
Tag = Annotated[PlainLine, Field(min_length=1, max_length=50, pattern=r"\S")]


class AdapterChangesIn(RequestBody):
    tags: list[Tag] = Field(
        max_length=MOST_TAGS,
        description="All its tags anew: words to find it by.",
        examples=[["approved", "client: Tea"]],
    )


class MetricsOut(BaseModel):
    """What its training came to."""

    final_loss: float | None = Field(description="The loss that was told last.", examples=[1.08])
    validation_loss: float | None = Field(description="That of the rows it was not trained on.", examples=[1.12])
    steps: int | None = Field(description="Optimizer steps.", examples=[120])
    gpu_hours: str = Field(description="GPU-hours that its job used.", examples=["0.5000"])
    tokens: int = Field(description="Tokens that its job used.", examples=[50_000])

    @classmethod
    def of(cls, job: Job) -> "MetricsOut":
        progress = job.progress or {}
        told = {"final_loss": progress.get("loss"), "validation_loss": progress.get("validation_loss")}
        hours = as_hours(job.used_gpu_seconds)
        return cls(**told, steps=progress.get("step"), gpu_hours=hours, tokens=job.used_tokens)


class AdapterOut(BaseModel):
    id: str = Field(description="Adapter id.", examples=["ada_01k"])
    object: Literal["adapter"] = Field(default="adapter", description="Kind of object.", examples=["adapter"])
    customer_id: str = Field(description="Whose adapter it is.", examples=["cus_01k"])
    project_id: str | None = Field(description="Its project, if any.", examples=["prj_01k"])
    job_id: str = Field(description="The job that trained it.", examples=["job_01k"])
    name: str = Field(description="Name of its project or data set.", examples=["brand-tone"])
    version: int = Field(description="Counts up for each name.", examples=[1])
    base_model: str = Field(description="The base model that it was trained on.", examples=["smollm2-135m-instruct"])
    init_from: str | None = Field(
        default=None, description="The adapter that its training went on from, if any.", examples=["ada_01j"]
    )
    config: dict[str, Any] = Field(description="The configuration it was trained with.", examples=[{"lora_rank": 8}])
    dataset_id: str | None = Field(description="The data set that it was trained on.", examples=["dat_01k"])
    dataset_sha256: str | None = Field(
        description="SHA-256 of that data, hex: the data set itself may be deleted since.", examples=["60303ae2…"]
    )
    run_id: str = Field(description="The run that made it.", examples=["run_01k"])
    labels: dict[str, str] = Field(description="What its job is told apart by.", examples=[{"team": "search"}])
    tags: list[str] = Field(description="Words to find it by.", examples=[["approved"]])
    stages: list[Stage] = Field(description="At which stages it is current of its name.", examples=[["test"]])
    metrics: MetricsOut | None = Field(
        description="What its training came to; null where its job is not to be seen.",
        examples=[{"final_loss": 1.08, "steps": 120}],
    )
    cost: MoneyOut | None = Field(
        description="What its job has cost; null likewise.", examples=[{"amount": "3.40", "currency": "CNY"}]
    )
    sha256: str = Field(description="SHA-256 of the .safetensors file, hex.", examples=["9f86d081…"])
    size_bytes: int = Field(description="Size of the file in bytes.", examples=[1848320])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Adapter, known: Known) -> "AdapterOut":
        """Describe an adapter by its row, and by what is known besides."""
        own = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        job = known.jobs.get(row.job_id)
        told: dict[str, Any] = {"labels": {}, "metrics": None, "cost": None}
        if job is not None:
            cost = MoneyOut.of_micros(job.cost_micros)
            told = {"labels": job.labels, "metrics": MetricsOut.of(job), "cost": cost}
        stages = known.stages.get(row.id, ())
        return cls(**own, **told, init_from=row.config.get("init_from"), stages=[Stage(each) for each in stages])

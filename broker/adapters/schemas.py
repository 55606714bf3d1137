"""API shapes of adapters."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from broker.adapters.comparing import find_differences
from broker.adapters.lineage import Lineage
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


class LineageNodeOut(BaseModel):
    id: str = Field(description="Id of the object; of a base model its name.", examples=["ada_01k"])
    kind: Literal["adapter", "job", "run", "dataset", "base_model"] = Field(
        description="What it is.", examples=["adapter"]
    )
    facts: dict[str, Any] = Field(
        description="Of an adapter name, version, hash, whether it is deleted; of a data set the hash; of a job its "
        "configuration.",
        examples=[{"name": "cyberpunk", "version": 3, "sha256": "9f86d081…", "is_deleted": False}],
    )


class LineageEdgeOut(BaseModel):
    source: str = Field(description="What went in.", examples=["dat_01k"])
    target: str = Field(description="Into what.", examples=["job_01k"])
    kind: Literal["trained", "learnt_from", "continued", "ran", "made"] = Field(
        description="How: a base model was trained by a job, which learnt from data, continued an adapter, ran, made.",
        examples=["learnt_from"],
    )


class LineageOut(BaseModel):
    object: Literal["lineage"] = Field(default="lineage", description="Kind of object.", examples=["lineage"])
    adapter_id: str = Field(description="Whose lineage it is.", examples=["ada_01k"])
    customer_id: str = Field(description="Whose adapter it is.", examples=["cus_01k"])
    nodes: list[LineageNodeOut] = Field(description="What it is made of, and what was made of it.", examples=[[]])
    edges: list[LineageEdgeOut] = Field(description="What went into what.", examples=[[]])
    is_cut: bool = Field(description="Whether there are more adapters than are told of.", examples=[False])

    @classmethod
    def of(cls, adapter: Adapter, lineage: Lineage) -> "LineageOut":
        nodes = [LineageNodeOut.model_validate(vars(each)) for each in lineage.nodes.values()]
        edges = [LineageEdgeOut.model_validate(vars(each)) for each in lineage.edges.values()]
        whose = {"adapter_id": adapter.id, "customer_id": adapter.customer_id}
        return cls(**whose, nodes=nodes, edges=edges, is_cut=lineage.is_cut)


class DifferenceOut(BaseModel):
    field: str = Field(
        description="In what they differ: `config.` before a key of the configuration.", examples=["cost"]
    )
    values: list[Any] = Field(description="What the first has, and the second.", examples=[["3.40", "5.10"]])


class AdapterComparisonOut(BaseModel):
    object: Literal["adapter_comparison"] = Field(
        default="adapter_comparison", description="Kind of object.", examples=["adapter_comparison"]
    )
    customer_id: str = Field(description="Whose the first is.", examples=["cus_01k"])
    adapters: list[AdapterOut] = Field(description="The two, as they were named.", examples=[[]])
    differences: list[DifferenceOut] = Field(
        description="In what they differ: data, base model, size, metrics, cost, configuration.", examples=[[]]
    )

    @classmethod
    def of(cls, rows: Sequence[Adapter], known: Known) -> "AdapterComparisonOut":
        shown = [AdapterOut.of(row, known) for row in rows]
        differences = find_differences([_flatten(each) for each in shown])
        told = [DifferenceOut(field=name, values=values) for name, values in differences]
        return cls(customer_id=rows[0].customer_id, adapters=shown, differences=told)


COMPARED = ("base_model", "dataset_sha256", "init_from", "size_bytes", "sha256")


def _flatten(adapter: AdapterOut) -> dict[str, Any]:
    """Lay out what of an adapter is compared, a name for each value."""
    told = {name: getattr(adapter, name) for name in COMPARED}
    told |= {} if adapter.metrics is None else adapter.metrics.model_dump()
    told["cost"] = None if adapter.cost is None else adapter.cost.amount
    return told | {f"config.{key}": value for key, value in adapter.config.items()}

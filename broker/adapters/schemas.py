"""API shapes of adapters."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from broker.adapters.tables import Adapter
from broker.http.shapes import created_at_field


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
    labels: dict[str, str] = Field(description="What its job is told apart by.", examples=[{"team": "search"}])
    sha256: str = Field(description="SHA-256 of the .safetensors file, hex.", examples=["9f86d081…"])
    size_bytes: int = Field(description="Size of the file in bytes.", examples=[1848320])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Adapter, labels: Mapping[str, dict[str, str]]) -> "AdapterOut":
        """Describe an adapter; `labels` are those of jobs, by their ids."""
        own = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        return cls(**own, init_from=row.config.get("init_from"), labels=labels.get(row.job_id, {}))

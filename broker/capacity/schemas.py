"""API shapes of queues and pools."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.http.shapes import RequestBody, created_at_field


class QueueOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    object: Literal["queue"] = Field(default="queue", description="Kind of object.", examples=["queue"])
    name: str = Field(description="Name, and id, of the queue.", examples=["priority"])
    priority: int = Field(description="The higher goes first.", examples=[200])
    open: bool = Field(description="A closed queue starts nothing.", examples=[True])
    contract_id: str | None = Field(description="Whose dedicated queue it is; null: shared.", examples=["con_01k"])
    created_at: datetime = created_at_field()


class QueuePatch(RequestBody):
    priority: int | None = Field(default=None, ge=0, le=1_000_000, description="The higher goes first.", examples=[250])
    open: bool | None = Field(default=None, description="False: start nothing from it.", examples=[False])


class PoolOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    object: Literal["pool"] = Field(default="pool", description="Kind of object.", examples=["pool"])
    name: str = Field(description="Name, and id, of the pool.", examples=["local"])
    sku: str = Field(description="Type of its devices.", examples=["cpu"])
    engine: str = Field(description="What places its runs.", examples=["local"])
    total_gpus: int = Field(description="Whole devices (or CPU slots).", examples=[1])
    open: bool = Field(description="A closed pool starts nothing new.", examples=[True])
    created_at: datetime = created_at_field()


class PoolPatch(RequestBody):
    open: bool | None = Field(default=None, description="False: start nothing new on it.", examples=[False])

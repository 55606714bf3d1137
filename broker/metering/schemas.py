"""API shapes of usage."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.metering.tables import UsageEvent


class UsageIntervalOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    object: Literal["usage_interval"] = Field(
        default="usage_interval", description="Kind of object.", examples=["usage_interval"]
    )
    run_id: str = Field(description="The run that reported it.", examples=["run_01k"])
    job_id: str = Field(description="The run's job.", examples=["job_01k"])
    sequence: int = Field(description="Number of the interval in its run.", examples=[0])
    gpu_seconds: int = Field(description="GPU-seconds held.", examples=[2])
    tokens: int = Field(description="Non-padding tokens trained.", examples=[1024])
    started_at: datetime = Field(description="When it began (UTC).", examples=["2026-11-24T10:00:00Z"])
    ended_at: datetime = Field(description="When it ended (UTC).", examples=["2026-11-24T10:00:02Z"])
    checkpoint_step: int | None = Field(
        description="It ends where the checkpoint of this step was written; null: it ends at none.", examples=[100]
    )
    received_at: datetime = Field(description="When the broker stored it (UTC).", examples=["2026-11-24T10:00:02Z"])

    @classmethod
    def of(cls, row: UsageEvent) -> "UsageIntervalOut":
        return cls.model_validate(row)


class UsageListOut(BaseModel):
    data: list[UsageIntervalOut] = Field(description="The intervals, run by run.", examples=[[{"sequence": 0}]])
    gpu_seconds: int = Field(description="Sum of their GPU-seconds.", examples=[95])
    tokens: int = Field(description="Sum of their tokens.", examples=[12840])

    @classmethod
    def of(cls, rows: list[UsageEvent]) -> "UsageListOut":
        return cls(
            data=[UsageIntervalOut.of(row) for row in rows],
            gpu_seconds=sum(row.gpu_seconds for row in rows),
            tokens=sum(row.tokens for row in rows),
        )


class UsageAcceptedOut(BaseModel):
    accepted: int = Field(description="Events taken, those known before included.", examples=[1])
    acknowledged_sequence: int = Field(description="Every interval up to this one is stored; -1: none.", examples=[0])

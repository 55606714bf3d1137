"""API shapes of usage."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.metering.evidence import EXPLANATIONS, Doubt
from broker.metering.listing import UsagePage
from broker.metering.tables import QuarantinedUsage, UsageEvent


class QuarantinedIntervalOut(BaseModel):
    """An interval of the request that is not charged: it waits in quarantine for finance to decide."""

    sequence: int = Field(description="Its number in the run.", examples=[7])
    reason: Doubt = Field(description="Why it is not charged.", examples=["outside_the_run"])
    message: str = Field(description="The reason in words.", examples=[EXPLANATIONS[Doubt.OVERLAPS]])

    @classmethod
    def list_of(cls, quarantined: Mapping[int, Doubt]) -> list["QuarantinedIntervalOut"]:
        return [cls(sequence=each, reason=doubt, message=EXPLANATIONS[doubt]) for each, doubt in quarantined.items()]


QUARANTINED = Field(
    description="Intervals of this request that are not charged, and why; do not send them again.",
    examples=[[{"sequence": 7, "reason": "outside_the_run"}]],
)


class QuarantinedUsageOut(BaseModel):
    """Usage in quarantine: evidence as it came, charged to nobody."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Its id.", examples=["qua_01k"])
    object: Literal["quarantined_usage"] = Field(
        default="quarantined_usage", description="Kind of object.", examples=["quarantined_usage"]
    )
    customer_id: str = Field(description="The run's customer.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract that would have been charged.", examples=["con_01k"])
    job_id: str = Field(description="The run's job.", examples=["job_01k"])
    run_id: str = Field(description="The run that reported it.", examples=["run_01k"])
    sequence: int = Field(description="Number of the interval in its run.", examples=[7])
    reason: Doubt = Field(description="Why it is not charged.", examples=["outside_the_run"])
    message: str = Field(description="The reason in words.", examples=[EXPLANATIONS[Doubt.OVERLAPS]])
    gpu_seconds: int = Field(description="GPU-seconds that it claims.", examples=[1_000_000_000])
    tokens: int = Field(description="Tokens that it claims.", examples=[0])
    started_at: datetime = Field(description="When it says that it began (UTC).", examples=["2001-01-01T00:00:00Z"])
    ended_at: datetime = Field(description="When it says that it ended (UTC).", examples=["2001-01-01T00:00:02Z"])
    received_at: datetime = Field(description="When the broker received it (UTC).", examples=["2026-11-24T10:00:02Z"])
    event: dict[str, Any] = Field(description="The CloudEvent as it came.", examples=[{"id": "run_01k/7"}])

    @classmethod
    def of(cls, row: QuarantinedUsage) -> "QuarantinedUsageOut":
        own = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        return cls.model_validate({**own, "message": EXPLANATIONS[Doubt(row.reason)]})


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
    next_cursor: str | None = Field(
        description="Send it as `cursor` for the next page; null on the last one.", examples=["run_01k/99"]
    )
    gpu_seconds: int = Field(description="Sum of the GPU-seconds of all intervals, not only these.", examples=[95])
    tokens: int = Field(description="Sum of the tokens of all intervals, not only these.", examples=[12840])

    @classmethod
    def of(cls, page: UsagePage) -> "UsageListOut":
        return cls(
            data=[UsageIntervalOut.of(row) for row in page.intervals],
            next_cursor=page.next_cursor,
            gpu_seconds=page.total.gpu_seconds,
            tokens=page.total.tokens,
        )


class UsageAcceptedOut(BaseModel):
    accepted: int = Field(description="Events taken, those known before included.", examples=[1])
    acknowledged_sequence: int = Field(description="Every interval up to this one is kept; -1: none.", examples=[0])
    quarantined: list[QuarantinedIntervalOut] = QUARANTINED

"""Usage events in CloudEvents form."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from broker import errors
from broker.http.shapes import Moment
from broker.ledger.service import UsageInterval
from pricing.number_fields import explain_number
from pricing.usage import Usage

EVENT_TYPE = "lora.usage.interval"
MAX_SEQUENCE = 2**53
MAX_QUANTITY = 10**12


def _refuse_odd_number(value: Any) -> Any:
    """Refuse what only Python would read as a number. Raises: ValueError."""
    words = explain_number(value)
    if words is not None:
        raise ValueError(words)
    return value


Quantity = Annotated[int, Field(ge=0, le=MAX_QUANTITY), BeforeValidator(_refuse_odd_number)]


class UsageData(BaseModel):
    """One interval of one run. Units: whole GPU-seconds and tokens of this interval."""

    model_config = ConfigDict(extra="forbid")

    sequence: int = Field(
        ge=0, le=MAX_SEQUENCE, description="Number of the interval in its run, from 0, without gaps.", examples=[0]
    )
    started_at: Moment = Field(description="When it began (UTC).", examples=["2026-11-24T10:00:00Z"])
    ended_at: Moment = Field(description="When it ended (UTC).", examples=["2026-11-24T10:00:02Z"])
    gpu_seconds: Quantity = Field(description="GPU-seconds held.", examples=[2])
    tokens: Quantity = Field(description="Non-padding tokens trained.", examples=[1024])
    checkpoint_step: int | None = Field(
        default=None,
        ge=0,
        le=MAX_QUANTITY,
        description="It ends where the checkpoint of this step was written; null: it ends at none.",
        examples=[100],
    )

    @property
    def usage(self) -> Usage:
        return Usage(self.gpu_seconds, self.tokens)


class UsageCloudEvent(BaseModel):
    """A CloudEvents 1.0 envelope around one interval of usage."""

    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"] = Field(description="CloudEvents version.", examples=["1.0"])
    id: str = Field(description="`run_id/sequence`.", examples=["run_01k/0"])
    source: str = Field(description="`/runs/run_id`.", examples=["/runs/run_01k"])
    type: Literal["lora.usage.interval"] = Field(description="Kind of event.", examples=[EVENT_TYPE])
    subject: str = Field(description="The run.", examples=["run_01k"])
    time: Moment = Field(description="When it was recorded (UTC).", examples=["2026-11-24T10:00:02Z"])
    datacontenttype: Annotated[str, Field(description="Type of `data`.", examples=["application/json"])] = (
        "application/json"
    )
    data: UsageData = Field(description="The interval.", examples=[{"sequence": 0, "gpu_seconds": 2, "tokens": 1024}])

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def to_interval(self, ended_at: datetime) -> UsageInterval:
        """Take out of the envelope the interval to be charged, which ended at this moment by the broker's clock."""
        data = self.data
        return UsageInterval(self.subject, data.sequence, data.usage, ended_at, data.checkpoint_step)


def find_subject_fault(event: UsageCloudEvent, run_id: str) -> errors.FieldError | None:
    """Find what keeps an event from being one of a run: it is for another."""
    if event.subject == run_id and event.id == f"{run_id}/{event.data.sequence}":
        return None
    return errors.FieldError("subject", f"must be of run {run_id}, with id {run_id}/sequence")


def check_subject(event: UsageCloudEvent, run_id: str) -> None:
    """Refuse an event that is for another run. Raises: InvalidRequest."""
    fault = find_subject_fault(event, run_id)
    if fault is not None:
        raise errors.invalid_field(f"usage[{event.data.sequence}].{fault.field}", fault.message)

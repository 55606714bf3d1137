"""Corrections in CloudEvents form: how much an earlier event really was, and by how much its usage changes. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from broker.errors import FieldError
from broker.http.plain_text import PlainText
from broker.http.shapes import Moment
from broker.metering.events.evidence import CLOCK_SLACK
from broker.metering.events.model import Quantity
from broker.metering.keeping.storing import RUN_SOURCES
from broker.metering.outside.measured import MAX_NAME, NAME_PATTERN
from pricing.usage import METERS, Unit, Usage

CORRECTION_TYPE = "lora.usage.correction"


class CorrectionData(BaseModel):
    """How much an earlier event really was. Units: those of its meter; GPU-seconds and tokens of a run's interval."""

    model_config = ConfigDict(extra="forbid")

    corrects: str = Field(
        min_length=1,
        max_length=MAX_NAME,
        description="Id of the earlier event of this source; of a run's interval `run_id/sequence`.",
        examples=["7f3a"],
    )
    quantity: Quantity | None = Field(
        default=None,
        description="How much it really was, of what a source measured; 0: nothing.",
        examples=[1000],
    )
    gpu_seconds: Quantity | None = Field(
        default=None,
        description="GPU-seconds that a run's interval really had; null: as they were told.",
        examples=[60],
    )
    tokens: Quantity | None = Field(
        default=None,
        description="Tokens that a run's interval really had; null: as they were told.",
        examples=[1024],
    )
    reason: PlainText = Field(
        min_length=1, max_length=1000, description="Why, for people.", examples=["counted twice by a retry"]
    )


class CorrectionEvent(BaseModel):
    """A CloudEvents 1.0 envelope around the correction of an earlier event of the same source."""

    model_config = ConfigDict(extra="ignore")

    specversion: Literal["1.0"] = Field(description="CloudEvents version.", examples=["1.0"])
    id: str = Field(min_length=1, max_length=MAX_NAME, description="Names this correction.", examples=["7f3a-1"])
    source: str = Field(
        pattern=NAME_PATTERN,
        max_length=MAX_NAME,
        description="A registered source; `/runs/run_id` for a run's interval.",
        examples=["/inference/eu-1"],
    )
    subject: str | None = Field(
        default=None,
        max_length=MAX_NAME,
        description="Whose usage it is, as the corrected event says it; it may be left out.",
        examples=["con_01k"],
    )
    type: Literal["lora.usage.correction"] = Field(description="Kind of event.", examples=[CORRECTION_TYPE])
    time: Moment = Field(
        description="When it was corrected (UTC): of several corrections of one event the latest counts.",
        examples=["2026-11-24T12:00:00Z"],
    )
    data: CorrectionData = Field(description="The correction.", examples=[{"corrects": "7f3a", "quantity": 1000}])

    @property
    def is_of_run(self) -> bool:
        return self.source.startswith(RUN_SOURCES)

    def says_of(self, meter: Unit, measured: Unit | None) -> int | None:
        """Tell what it says of a meter, if anything. `measured` is the meter of what a source measured."""
        if self.is_of_run:
            return self.data.gpu_seconds if meter == Unit.GPU_SECONDS else self.data.tokens
        return self.data.quantity if meter == measured else None


EVENT = TypeAdapter(CorrectionEvent)
EVENTS = TypeAdapter(list[CorrectionEvent])


def find_shape_faults(event: CorrectionEvent, now: datetime) -> list[FieldError]:
    """Find what keeps an event from being a correction, whatever it corrects."""
    data = event.data
    if event.time > now + CLOCK_SLACK:
        return [FieldError("time", f"lies in the future; it is {now.isoformat()} here")]
    if not event.is_of_run:
        others = [name for name in ("gpu_seconds", "tokens") if getattr(data, name) is not None]
        faults = [FieldError(f"data.{name}", "is of a run's interval; send quantity") for name in others]
        return faults if data.quantity is not None else [*faults, FieldError("data.quantity", "is required: how much")]
    if data.quantity is not None:
        return [FieldError("data.quantity", "has no meter; send gpu_seconds or tokens of the run's interval")]
    if data.gpu_seconds is None and data.tokens is None:
        return [FieldError("data.gpu_seconds", "is required, or tokens: how much the interval really had")]
    if event.id.startswith(f"{event.source.removeprefix(RUN_SOURCES)}/"):
        return [FieldError("id", "names an interval of the run; name the correction otherwise")]
    return []


def find_time_fault(event: CorrectionEvent, used_until: datetime) -> FieldError | None:
    """Find a correction that is older than what it corrects: it would count for less than what was told first."""
    if event.time < used_until - CLOCK_SLACK:
        return FieldError("time", f"lies before what it corrects was used, at {used_until.isoformat()}")
    return None


def find_measured(document: Mapping[str, Any]) -> Unit | None:
    """Find the meter of what a source has measured; None: a run's interval has both."""
    meter = document["data"].get("meter")
    return None if meter is None else Unit(meter)


def settle_usage(told: Usage, measured: Unit | None, corrections: Iterable[CorrectionEvent]) -> Usage:
    """Settle how much an event was: of each meter what its latest correction says, in whatever order they came."""
    settled = {meter: told.count(meter) for meter in METERS}
    for event in sorted(corrections, key=lambda each: (each.time, each.id)):
        for meter in METERS:
            said = event.says_of(meter, measured)
            settled[meter] = settled[meter] if said is None else said
    return Usage(settled[Unit.GPU_SECONDS], settled[Unit.TOKENS])

"""Usage that a source measured outside of runs, in CloudEvents form, and what is asked of each event. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from broker import errors
from broker.contracts.terms.model import ContractTerms
from broker.errors import FieldError
from broker.http.labels import Labels
from broker.http.shapes import Moment
from broker.metering.events.evidence import CLOCK_SLACK
from broker.metering.events.model import Quantity
from broker.metering.events.posted import Posted
from pricing.usage import Usage

MEASURED_TYPE = "lora.usage.measured"
MAX_NAME, MAX_EXTENSION = 200, 1000
EXTENSION_NAME = re.compile("[a-z0-9]{1,40}")
NAME_PATTERN = r"^[!-~]+$"


class MeasuredData(BaseModel):
    """What was used of one meter. Units: whole GPU-seconds or tokens."""

    model_config = ConfigDict(extra="forbid")

    meter: Literal["gpu_seconds", "tokens"] = Field(description="What was counted.", examples=["tokens"])
    quantity: Quantity = Field(description="How much: GPU-seconds or tokens.", examples=[1200])
    started_at: Moment | None = Field(
        default=None, description="When the use began (UTC); null: at `time`.", examples=["2026-11-24T10:00:00Z"]
    )
    contract_id: str | None = Field(
        default=None,
        max_length=MAX_NAME,
        description="The contract, where the subject is a project whose customer has several in force.",
        examples=["con_01k"],
    )
    gpu_type: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9.-]{0,39}$",
        description="Type of the GPU that was used; it decides which grants pay.",
        examples=["h200"],
    )
    labels: Labels = Field(default_factory=dict)

    @property
    def usage(self) -> Usage:
        return Usage(self.quantity, 0) if self.meter == "gpu_seconds" else Usage(0, self.quantity)


class MeasuredEvent(BaseModel):
    """A CloudEvents 1.0 envelope around usage that a registered source has measured."""

    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"] = Field(description="CloudEvents version.", examples=["1.0"])
    id: str = Field(
        min_length=1, max_length=MAX_NAME, description="Names the event within its source, for ever.", examples=["7f3a"]
    )
    source: str = Field(
        pattern=NAME_PATTERN, max_length=MAX_NAME, description="A registered source.", examples=["/inference/eu-1"]
    )
    type: Literal["lora.usage.measured"] = Field(description="Kind of event.", examples=[MEASURED_TYPE])
    subject: str = Field(
        max_length=MAX_NAME, description="Whose usage it is: a contract, a project or a job.", examples=["con_01k"]
    )
    time: Moment = Field(description="When the use ended (UTC).", examples=["2026-11-24T10:00:02Z"])
    datacontenttype: Annotated[str, Field(description="Type of `data`.", examples=["application/json"])] = (
        "application/json"
    )
    data: MeasuredData = Field(description="What was used.", examples=[{"meter": "tokens", "quantity": 1200}])

    @property
    def name(self) -> tuple[str, str]:
        return self.source, self.id

    @property
    def started_at(self) -> datetime:
        return self.data.started_at or self.time


Shape = TypeVar("Shape", bound=BaseModel)
EVENT = TypeAdapter(MeasuredEvent)
EVENTS = TypeAdapter(list[MeasuredEvent])


@dataclass(frozen=True)
class Invalid:
    """An event that is none, and why."""

    faults: list[FieldError]


def read_measured(posted: Posted) -> list[MeasuredEvent | Invalid]:
    """Read what sources have measured out of the events of a request."""
    read = read_shapes(posted, EVENT, EVENTS)
    return [_check_extensions(event) if isinstance(event, MeasuredEvent) else event for event in read]


def read_shapes(posted: Posted, one: TypeAdapter[Shape], many: TypeAdapter[list[Shape]]) -> list[Shape | Invalid]:
    """Read events of one shape: all at once, and one by one only where one of them is at fault."""
    if not posted.faults:
        try:
            return list(many.validate_python(posted.events))
        except ValidationError:
            pass  # which of them it is, and whether it is the only one, is asked below
    read: list[Shape | Invalid] = []
    for place, event in enumerate(posted.events):
        read.append(_read_shape(event, posted.faults.get(place), one))
    return read


def _read_shape(event: Any, faults: list[FieldError] | None, shape: TypeAdapter[Shape]) -> Shape | Invalid:
    if faults:
        return Invalid(faults)
    try:
        return shape.validate_python(event)
    except ValidationError as error:
        return Invalid(list_faults(error))


def list_faults(error: ValidationError) -> list[FieldError]:
    """List what pydantic found, each fault with the path of its field."""
    found = error.errors(include_url=False)
    return [FieldError(errors.write_path(item["loc"]) or "body", _describe(item)) for item in found]


def _describe(fault: Mapping[str, Any]) -> str:
    return "must be a JSON object" if fault["type"] == "model_type" else errors.describe_fault(fault)


def _check_extensions(event: MeasuredEvent) -> MeasuredEvent | Invalid:
    faults = list(_find_extension_faults(event.model_extra)) if event.model_extra else []
    return Invalid(faults) if faults else event


def _find_extension_faults(extensions: Mapping[str, Any]) -> Iterator[FieldError]:
    """Find extension attributes that CloudEvents does not know, or that are too long to be kept."""
    for name, value in extensions.items():
        if EXTENSION_NAME.fullmatch(name) is None:
            yield FieldError(
                name[:MAX_NAME], "is no attribute: CloudEvents has lower-case letters and digits, up to 40"
            )
        elif not isinstance(value, str | int) or len(str(value)) > MAX_EXTENSION:
            yield FieldError(name, f"must be a text of up to {MAX_EXTENSION} characters, a number or a boolean")


def find_time_faults(event: MeasuredEvent, terms: ContractTerms, now: datetime) -> list[FieldError]:
    """Find what keeps an event from being usage under a contract: no clock of a source reaches beyond it."""
    if event.time > now + CLOCK_SLACK:
        return [FieldError("time", f"lies in the future; it is {now.isoformat()} here")]
    if event.started_at < terms.starts_at:
        field = "time" if event.data.started_at is None else "data.started_at"
        return [FieldError(field, f"lies before the contract begins, at {terms.starts_at.isoformat()}")]
    if event.started_at > event.time:
        return [FieldError("data.started_at", "lies after time")]
    return []

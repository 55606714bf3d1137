"""API shapes of sources of usage."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.http.plain_text import PlainLine
from broker.http.shapes import RequestBody, created_at_field, written_like
from broker.metering.outside.measured import MAX_NAME, NAME_PATTERN

Source = Annotated[
    str,
    written_like(NAME_PATTERN, "/inference/eu-1: a URI reference without spaces"),
    Field(
        pattern=NAME_PATTERN,
        max_length=MAX_NAME,
        description="What its events carry as `source`: a URI reference of its own.",
        examples=["/inference/eu-1"],
    ),
]
NAME = Field(min_length=1, max_length=200, description="A name for people.", examples=["Inference, Europe"])
CUSTOMER = Field(default=None, description="Whose usage alone it may report; null: everybody's.", examples=["cus_01k"])
OPEN = Field(description="Whether its events are taken.", examples=[True])


class UsageSourceIn(RequestBody):
    source: Source
    name: PlainLine = NAME
    customer_id: str | None = CUSTOMER


class UsageSourcePatch(RequestBody):
    open: bool = OPEN


class UsageSourceOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Its id.", examples=["src_01k"])
    object: Literal["usage_source"] = Field(
        default="usage_source", description="Kind of object.", examples=["usage_source"]
    )
    source: Source
    name: str = NAME
    customer_id: str | None = CUSTOMER
    open: bool = OPEN
    created_at: datetime = created_at_field()

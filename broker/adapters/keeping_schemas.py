"""API shapes of how many versions a customer keeps."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field

from broker.adapters.tables import Adapter, AdapterRetention
from broker.http.plain_text import PlainLine
from broker.http.shapes import RequestBody, read_fields

MOST_TOLD = 100


class KeepIn(RequestBody):
    name: PlainLine | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Of which name; null: of all that have no rule of their own.",
        examples=["cyberpunk"],
    )
    kept_versions: int | None = Field(
        ge=0, le=10_000, description="So many of the newest stay; 0: all; null: the rule is taken back.", examples=[5]
    )
    customer_id: str | None = Field(default=None, description="Whose; with a staff key alone.", examples=["cus_01k"])


class KeptOut(BaseModel):
    id: str | None = Field(description="Id of the rule; null: there is none.", examples=["art_01k"])
    object: Literal["adapter_retention"] = Field(
        default="adapter_retention", description="Kind of object.", examples=["adapter_retention"]
    )
    customer_id: str = Field(description="Whose adapters.", examples=["cus_01k"])
    name: str | None = Field(description="Of which name; null: of all others.", examples=["cyberpunk"])
    kept_versions: int | None = Field(
        default=None, description="So many of the newest stay; 0: all; null: no rule.", examples=[5]
    )
    changed_by: str | None = Field(default=None, description="Who said so.", examples=["key_01k"])
    changed_at: datetime | None = Field(default=None, description="When (UTC).", examples=["2026-11-24T10:00:00Z"])

    @classmethod
    def of(cls, row: AdapterRetention) -> Self:
        return cls.model_validate(read_fields(cls, row))


class SupersededVersionOut(BaseModel):
    id: str = Field(description="Adapter id.", examples=["ada_01k"])
    name: str = Field(description="Its name.", examples=["cyberpunk"])
    version: int = Field(description="Its version.", examples=[1])
    size_bytes: int = Field(description="Size of its file in bytes.", examples=[1848320])


class SupersededOut(BaseModel):
    object: Literal["adapter_retention_preview"] = Field(
        default="adapter_retention_preview", description="Kind of object.", examples=["adapter_retention_preview"]
    )
    customer_id: str = Field(description="Whose adapters.", examples=["cus_01k"])
    count: int = Field(description="So many versions would go.", examples=[2])
    size_bytes: int = Field(description="Bytes of their files.", examples=[3696640])
    adapters: list[SupersededVersionOut] = Field(
        description="The oldest of them, a hundred at most.",
        examples=[[{"id": "ada_01k", "name": "cyberpunk", "version": 1, "size_bytes": 1848320}]],
    )

    @classmethod
    def of(cls, customer_id: str, rows: Sequence[Adapter]) -> Self:
        told = [SupersededVersionOut.model_validate(read_fields(SupersededVersionOut, row)) for row in rows[:MOST_TOLD]]
        size_bytes = sum(row.size_bytes for row in rows)
        return cls(customer_id=customer_id, count=len(rows), size_bytes=size_bytes, adapters=told)

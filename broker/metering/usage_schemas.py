"""API shapes of usage that is added up."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from broker.http.shapes import as_hours
from broker.metering.reading.rollups import UsageGroup, UsageGroups


class UsageGroupOut(BaseModel):
    """What was used by one group."""

    object: Literal["usage_group"] = Field(
        default="usage_group", description="Kind of object.", examples=["usage_group"]
    )
    group: dict[str, str | None] = Field(
        description="What it is of, by the names in `group_by`; null: of none.",
        examples=[{"project": "prj_01k", "day": "2026-11-24"}],
    )
    gpu_seconds: int = Field(description="GPU-seconds held.", examples=[3600])
    gpu_hours: str = Field(description="The same in GPU-hours, to four places.", examples=["1.0000"])
    tokens: int = Field(description="Tokens.", examples=[12840])
    events: int | None = Field(
        description="Usage events that it is the sum of; null where meters are told apart: an event may have several.",
        examples=[42],
    )

    @classmethod
    def of(cls, names: Sequence[str], group: UsageGroup) -> "UsageGroupOut":
        return cls(
            group={name: value or None for name, value in zip(names, group.values, strict=True)},
            gpu_seconds=group.usage.gpu_seconds,
            gpu_hours=as_hours(group.usage.gpu_seconds),
            tokens=group.usage.tokens,
            events=None if "meter" in names else group.events,
        )


class UsageGroupsOut(BaseModel):
    data: list[UsageGroupOut] = Field(
        description="The groups, in the order of what they are of.", examples=[[{"group": {"day": "2026-11-24"}}]]
    )
    next_cursor: str | None = Field(
        description="Send it as `cursor` for the next page; null on the last one.", examples=["WyJwcmpfMDFrIl0="]
    )
    gpu_seconds: int = Field(description="Sum of the GPU-seconds of all groups, not only these.", examples=[3600])
    tokens: int = Field(description="Sum of the tokens of all groups, not only these.", examples=[12840])

    @classmethod
    def of(cls, names: Sequence[str], page: UsageGroups) -> "UsageGroupsOut":
        return cls(
            data=[UsageGroupOut.of(names, group) for group in page.groups],
            next_cursor=page.next_cursor,
            gpu_seconds=page.total.gpu_seconds,
            tokens=page.total.tokens,
        )

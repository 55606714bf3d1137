"""API shapes of what customers are told."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.capacity.announcements import NewAnnouncement, NoticeKind
from broker.http.plain_text import PlainText
from broker.http.shapes import Moment, RequestBody

Message = Annotated[PlainText, Field(min_length=1, max_length=2000, pattern=r"\S")]


class NoticeOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    object: Literal["announcement"] = Field(
        default="announcement", description="Kind of object.", examples=["announcement"]
    )
    id: str = Field(
        description="Id of the announcement; one of maintenance is known by it alone.", examples=["ann_01k"]
    )
    kind: NoticeKind = Field(
        description="`announcement` of ops, or `maintenance`: a pool is worked on.", examples=["maintenance"]
    )
    message: str = Field(description="What customers should know.", examples=["The API is away for ten minutes."])
    message_zh: str | None = Field(
        description="The same in Chinese, where it was said.", examples=["API 将暂停十分钟。"]
    )
    pool: str | None = Field(description="The pool that it concerns; null: all.", examples=["a100"])
    begins_at: datetime = Field(description="Begin (UTC).", examples=["2026-12-01T02:00:00Z"])
    ends_at: datetime | None = Field(description="End (UTC); null: open.", examples=["2026-12-01T04:00:00Z"])


class AnnouncementIn(RequestBody):
    message: Message = Field(description="What customers should know.", examples=["The API is away for ten minutes."])
    message_zh: Message | None = Field(
        default=None, description="The same in Chinese.", examples=["API 将暂停十分钟。"]
    )
    pool: str | None = Field(
        default=None,
        max_length=200,
        description="The pool that it concerns: jobs there get an event.",
        examples=["a100"],
    )
    begins_at: Moment | None = Field(
        default=None, description="Begin; default: now.", examples=["2026-12-01T02:00:00Z"]
    )
    ends_at: Moment | None = Field(
        default=None, description="End; default: until it is ended.", examples=["2026-12-01T04:00:00Z"]
    )

    def read_new(self) -> NewAnnouncement:
        """Read what is announced."""
        return NewAnnouncement(self.message, self.message_zh, self.pool, self.begins_at, self.ends_at)

"""API shapes of contacts and notices. Where a contact is told is never among them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from broker.http.plain_text import PlainLine
from broker.http.shapes import RequestBody, created_at_field, read_fields
from broker.notices.contacts import Channel, NewContact
from broker.notices.model import Language, NoticeStatus
from broker.notices.tables import Notice, NoticeContact


class ContactIn(RequestBody):
    name: PlainLine = Field(
        min_length=1, max_length=100, pattern=r"\S", description="Who it is, for people.", examples=["财务 张三"]
    )
    address: Annotated[PlainLine, Field(max_length=200, pattern=r"^[^@\s?&]+@[^@\s?&]+\.[^@\s?&]+$")] | None = Field(
        default=None, description="A mail address; either this or `url`.", examples=["finance@example.com"]
    )
    url: Annotated[PlainLine, Field(max_length=500)] | None = Field(
        default=None,
        description="The address of a chat's bot, such as `dingtalk://token@secret` or `wecombot://key`; a secret: no "
        "answer shows it again.",
        examples=["wecombot://botkey"],
    )
    language: Language = Field(default=Language.ZH, description="In which it is told.", examples=["zh"])

    def read_contact(self, customer_id: str) -> NewContact:
        return NewContact(customer_id, self.name, self.language, self.address, self.url)


class ContactOut(BaseModel):
    id: str = Field(description="Contact id.", examples=["cnt_01k"])
    object: Literal["notice_contact"] = Field(
        default="notice_contact", description="Kind of object.", examples=["notice_contact"]
    )
    customer_id: str = Field(description="Whose contact it is.", examples=["cus_01k"])
    name: str = Field(description="Who it is.", examples=["财务 张三"])
    channel: Channel = Field(description="By mail, or by a chat's bot.", examples=["mail"])
    shown: str = Field(description="The mail address, or the kind of chat.", examples=["wecombot://****"])
    language: Language = Field(description="In which it is told.", examples=["zh"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: NoticeContact) -> "ContactOut":
        return cls.model_validate(read_fields(cls, row))


class SentNoticeOut(BaseModel):
    id: str = Field(description="Notice id.", examples=["ntc_01k"])
    object: Literal["notice"] = Field(default="notice", description="Kind of object.", examples=["notice"])
    customer_id: str = Field(description="Whose contact is told.", examples=["cus_01k"])
    contract_id: str | None = Field(description="Of which contract it is; null: of none.", examples=["con_01k"])
    contact_id: str = Field(description="Who is told.", examples=["cnt_01k"])
    kind: str = Field(description="What it tells of.", examples=["arrears_changed"])
    language: Language = Field(description="In which it is told.", examples=["zh"])
    title: str = Field(description="Its title.", examples=["欠费状态：宽限期"])
    body: str = Field(description="What it says.", examples=["逾期金额 4200.00 元。"])
    status: NoticeStatus = Field(
        description="pending: it is (still) to be sent; sent; failed: it was given up.", examples=["sent"]
    )
    attempts: int = Field(description="How often it was tried.", examples=[1])
    last_error: str | None = Field(description="Why the last attempt failed.", examples=[None])
    sent_at: datetime | None = Field(description="When it was sent (UTC).", examples=["2026-12-08T00:00:05Z"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Notice) -> "SentNoticeOut":
        return cls.model_validate(read_fields(cls, row))

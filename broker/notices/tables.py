"""Whom customers have named to be told, what was composed for each of them, and of what that was done already."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class NoticeContact(Base):
    """Somebody whom a customer wants told. `url` is where to: of a chat a secret, kept sealed, that nothing shows."""

    __tablename__ = "notice_contacts"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    name: Mapped[str]
    channel: Mapped[str]
    shown: Mapped[str]
    url: Mapped[str]
    language: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
    removed_at: Mapped[datetime | None] = moment_column(nullable=True)


class Notice(Base):
    """What one contact is told of one thing that happened, and whether it was sent. Not all is of a contract."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("event_id", "contact_id"),
        Index("ix_notices_due", "not_before", postgresql_where=text("status = 'pending'")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    contract_id: Mapped[str | None] = mapped_column(ForeignKey("contracts.id"))
    contact_id: Mapped[str] = mapped_column(ForeignKey("notice_contacts.id"))
    event_id: Mapped[str]
    kind: Mapped[str]
    language: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    status: Mapped[str]
    attempts: Mapped[int]
    last_error: Mapped[str | None]
    not_before: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column()
    sent_at: Mapped[datetime | None] = moment_column(nullable=True)


class Noticed(Base):
    """That notices of a thing were composed, for all contacts that there were then; a record."""

    __tablename__ = "noticed"

    event_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    created_at: Mapped[datetime] = moment_column()

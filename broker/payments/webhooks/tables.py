"""Events that payment providers sent us, kept before anything is done about them."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class ReceivedEvent(Base):
    """An event by the provider's id, so that it is kept and handled once. What it says of its object is not kept.

    Events come twice, late and in any order: the object is fetched when one is handled.
    """

    __tablename__ = "received_events"
    __table_args__ = (
        UniqueConstraint("provider", "event_id"),
        Index("ix_received_events_waiting", "not_before", postgresql_where=text("handled_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    provider: Mapped[str]
    event_id: Mapped[str]
    type: Mapped[str]
    object_id: Mapped[str | None]
    failures: Mapped[int]
    last_error: Mapped[str | None]
    not_before: Mapped[datetime] = moment_column()
    sent_at: Mapped[datetime] = moment_column()
    received_at: Mapped[datetime] = moment_column()
    handled_at: Mapped[datetime | None] = moment_column(nullable=True)

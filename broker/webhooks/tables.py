"""Where customers' programs are told, what happened that they are told of, and each attempt to tell them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class WebhookEndpoint(Base):
    """Where a program of a customer listens, and to what. Of a project's alone where it has one.

    `records` are the records of features that tell of its `event_types`: the triggers compare with these. `secret` and,
    until `former_until`, `former_secret` sign what is sent; both are sealed. `failing_since`: of the first attempt that
    failed since the last one that did not.
    """

    __tablename__ = "webhook_endpoints"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    url: Mapped[str]
    event_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    records: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret: Mapped[str]
    former_secret: Mapped[str | None]
    former_until: Mapped[datetime | None] = moment_column(nullable=True)
    status: Mapped[str]
    disabled_for: Mapped[str | None]
    disabled_at: Mapped[datetime | None] = moment_column(nullable=True)
    failing_since: Mapped[datetime | None] = moment_column(nullable=True)
    last_taken_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()
    removed_at: Mapped[datetime | None] = moment_column(nullable=True)


class WebhookOccurrence(Base):
    """The outbox: that something was recorded of which an endpoint wants to hear. Triggers write it with the record.

    It goes in the transaction that makes events of it.
    """

    __tablename__ = "webhook_outbox"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    source: Mapped[str]
    kind: Mapped[str]
    object_id: Mapped[str]
    data: Mapped[dict[str, Any]]
    happened_at: Mapped[datetime] = moment_column()


class WebhookEvent(Base):
    """What programs of a customer are told. `happened_at` is when it did, and stands in what is sent."""

    __tablename__ = "webhook_events"
    __table_args__ = (Index("ix_webhook_events_happened_at", "customer_id", "happened_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    project_id: Mapped[str | None]
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    happened_at: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column(index=True)


class WebhookDelivery(Base):
    """One event on its way to one endpoint. `attempts` counts those since it was first sent, or replayed."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("endpoint_id", "event_id"),
        Index("ix_webhook_deliveries_due", "not_before", postgresql_where=text("status = 'pending'")),
        Index(
            "ix_webhook_deliveries_due_to",
            "endpoint_id",
            "not_before",
            "id",
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_webhook_deliveries_event_id", "event_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id"))
    event_id: Mapped[str] = mapped_column(ForeignKey("webhook_events.id"))
    event_type: Mapped[str]
    status: Mapped[str]
    attempts: Mapped[int]
    not_before: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column()
    ended_at: Mapped[datetime | None] = moment_column(nullable=True)


class WebhookAttempt(Base):
    """One attempt: what the receiver answered, or why it did not. Of its answer the beginning is kept."""

    __tablename__ = "webhook_attempts"
    __table_args__ = (Index("ix_webhook_attempts_endpoint_id", "endpoint_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    delivery_id: Mapped[str] = mapped_column(ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), index=True)
    endpoint_id: Mapped[str]
    event_id: Mapped[str]
    event_type: Mapped[str]
    number: Mapped[int]
    status_code: Mapped[int | None]
    answer: Mapped[str | None]
    error: Mapped[str | None]
    duration_ms: Mapped[int]
    created_at: Mapped[datetime] = moment_column()

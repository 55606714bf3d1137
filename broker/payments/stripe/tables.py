"""What we asked of Stripe and what it has: customers, invoices, steps, payments. Money in fen, as Stripe counts it."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class StripeCustomer(Base):
    """A customer whose invoices Stripe collects, as long as `collects`; `stripe_id` once Stripe has it."""

    __tablename__ = "stripe_customers"

    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), primary_key=True)
    email: Mapped[str | None]
    collects: Mapped[bool]
    stripe_id: Mapped[str | None] = mapped_column(unique=True)
    created_at: Mapped[datetime] = moment_column()
    changed_at: Mapped[datetime] = moment_column()


class StripeInvoice(Base):
    """An invoice as Stripe has it, by its last answer.

    `asked_fen` is what its lines add up to there, `credited_fen` what credit notes took off that, `remaining_fen` what
    Stripe still asks for. `settled` says that Stripe has what our books want: nothing is planned until one of them
    changes. `problem` is why it stands still, until somebody retries it.
    """

    __tablename__ = "stripe_invoices"
    __table_args__ = (Index("ix_stripe_invoices_unsettled", "invoice_id", postgresql_where=text("NOT settled")),)

    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    stripe_id: Mapped[str | None] = mapped_column(unique=True)
    status: Mapped[str]
    has_lines: Mapped[bool]
    is_summary: Mapped[bool]
    asked_fen: Mapped[int]
    credited_fen: Mapped[int]
    remaining_fen: Mapped[int]
    hosted_url: Mapped[str | None]
    settled: Mapped[bool]
    problem: Mapped[str | None]
    created_at: Mapped[datetime] = moment_column()
    changed_at: Mapped[datetime] = moment_column()


class StripeStep(Base):
    """One thing that we ask of Stripe, written before it is asked; the outbox of this room.

    `object_id` is our object, `params` exactly what is sent. `key_number` counts the idempotency keys that were used up
    by an answer that is worth nothing; `key_sent_at` is when the present one was first sent. `failures` counts attempts
    without a good answer. A step that may have been done unseen `must_search` before it is sent again.
    """

    __tablename__ = "stripe_steps"
    __table_args__ = (
        UniqueConstraint("object_id", "step"),
        CheckConstraint("state IN ('waiting', 'done', 'refused', 'dropped')", name="known_state"),
        Index("ix_stripe_steps_waiting", "not_before", postgresql_where=text("state = 'waiting'")),
        Index("ix_stripe_steps_invoice", "invoice_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    invoice_id: Mapped[str | None] = mapped_column(ForeignKey("invoices.id"))
    object_id: Mapped[str]
    step: Mapped[str]
    kind: Mapped[str]
    params: Mapped[dict[str, Any]]
    state: Mapped[str]
    stripe_id: Mapped[str | None]
    key_number: Mapped[int]
    must_search: Mapped[bool]
    failures: Mapped[int]
    last_error: Mapped[str | None]
    not_before: Mapped[datetime] = moment_column()
    key_sent_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()
    ended_at: Mapped[datetime | None] = moment_column(nullable=True)


class StripePayment(Base):
    """A payment of an invoice at Stripe that our books have; a record. `id` is Stripe's, `payment_id` our row's."""

    __tablename__ = "stripe_payments"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoices.id"), index=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"), index=True)
    payment_intent: Mapped[str] = mapped_column(index=True)
    amount_micros: Mapped[int]
    created_at: Mapped[datetime] = moment_column()


class StripeDifference(Base):
    """A difference between our books and Stripe that the last reconciliation found; the next one writes them anew."""

    __tablename__ = "stripe_differences"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[str]
    invoice_id: Mapped[str | None]
    stripe_id: Mapped[str | None]
    ours: Mapped[str]
    theirs: Mapped[str]
    cure: Mapped[str]
    found_at: Mapped[datetime] = moment_column()

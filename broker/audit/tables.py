"""The audit table: decisions of staff, never changed or deleted."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class AuditEntry(Base):
    """One decision. `actor_id` is the API key that made it; `customer_id` whom it concerns, where that is one.

    `changed` is what it changed, as JSON, where that can be undone: `kind`, `id`, and by field `before` and `after`.
    `undoes` is the decision that this one takes back; a decision is taken back once.
    """

    __tablename__ = "audit_entries"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"), index=True)
    actor_role: Mapped[str]
    actor_id: Mapped[str] = mapped_column(index=True)
    action: Mapped[str]
    object_id: Mapped[str | None] = mapped_column(index=True)
    sent: Mapped[dict[str, Any]]
    changed: Mapped[dict[str, Any] | None]
    undoes: Mapped[str | None] = mapped_column(ForeignKey("audit_entries.id"), unique=True)
    created_at: Mapped[datetime] = moment_column()

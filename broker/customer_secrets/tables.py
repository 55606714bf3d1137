"""Secrets of customers, sealed."""

from datetime import datetime

from sqlalchemy import ForeignKey, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class CustomerSecret(Base):
    """Where a customer's tracker is, and the key that opens it; of one project, or of all that the customer has.

    `sealed_key` is the key as `broker/sealing.py` has sealed it, `sealed_former_keys` those that it took the place of,
    the latest first: runs under way were given one. `url` is null where the kind has a place of its own,
    `username` where the key stands alone. `rotated_at` is when the key was last replaced, `last_used_at` when a run
    was last given it; null: never.
    """

    __tablename__ = "customer_secrets"
    __table_args__ = (UniqueConstraint("customer_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    kind: Mapped[str]
    url: Mapped[str | None]
    username: Mapped[str | None]
    sealed_key: Mapped[str]
    sealed_former_keys: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default=text("'{}'"))
    rotated_at: Mapped[datetime | None] = moment_column(nullable=True)
    last_used_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()

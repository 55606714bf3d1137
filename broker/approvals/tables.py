"""What was proposed, by whom, and what became of it. Money in micro-yuan."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class Approval(Base):
    """An act as it was proposed, with the body that its route takes and the amount that it comes to.

    `subject_id` is what it is about: an invoice, a grant, a contract. `result_id` is what it made, once approved.
    """

    __tablename__ = "approvals"
    __table_args__ = (CheckConstraint("decider IS NULL OR status = 'rejected' OR decider <> proposer", name="by_two"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    act: Mapped[str]
    body: Mapped[dict[str, Any]]
    subject_id: Mapped[str] = mapped_column(index=True)
    amount_micros: Mapped[int]
    reason: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    proposer: Mapped[str]
    proposer_role: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
    expires_at: Mapped[datetime] = moment_column()
    decider: Mapped[str | None]
    decided_at: Mapped[datetime | None] = moment_column(nullable=True)
    decision_reason: Mapped[str | None]
    result_id: Mapped[str | None]

"""Purchases, and the rules by which contracts buy more by themselves."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class Purchase(Base):
    """An order of hours or tokens under a contract: a grant, and the advance invoice that pays for it.

    It is open until that is paid; unpaid at `expires_at`, it is over. That it is paid is told by its grant.
    """

    __tablename__ = "purchases"
    __table_args__ = (Index("ix_purchases_open", "expires_at", postgresql_where=text("status = 'open'")),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), index=True)
    grant_id: Mapped[str] = mapped_column(ForeignKey("grants.id"), unique=True)
    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoices.id"))
    automatic: Mapped[bool]
    total_micros: Mapped[int]
    status: Mapped[str]
    expires_at: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column()


class TopUpRule(Base):
    """When a contract buys more by itself: below the threshold so much is ordered, one order at a time. GPU-seconds."""

    __tablename__ = "top_up_rules"
    __table_args__ = (
        CheckConstraint("threshold_gpu_seconds >= 0 AND purchase_gpu_seconds > 0", name="quantities_positive"),
    )

    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    threshold_gpu_seconds: Mapped[int]
    purchase_gpu_seconds: Mapped[int]
    created_at: Mapped[datetime] = moment_column()

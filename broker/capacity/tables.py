"""Queues and pools, as ops sees and tunes them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class Queue(Base):
    """A queue of admitted jobs; a higher priority goes first. A dedicated queue belongs to one contract."""

    __tablename__ = "queues"

    name: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str | None] = mapped_column(ForeignKey("contracts.id"), unique=True)
    priority: Mapped[int]
    open: Mapped[bool]
    created_at: Mapped[datetime] = moment_column()


class Pool(Base):
    """Devices of one SKU behind one engine; the engine's process registers what it has."""

    __tablename__ = "pools"
    __table_args__ = (CheckConstraint("total_gpus >= 0", name="gpus_not_negative"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    sku: Mapped[str]
    engine: Mapped[str]
    total_gpus: Mapped[int]
    open: Mapped[bool]
    created_at: Mapped[datetime] = moment_column()

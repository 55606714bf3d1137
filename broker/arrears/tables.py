"""How contracts stand in arrears, how they came there, the time that finance gave, what was deleted. In micro-yuan."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column
from pricing.money import Money


class ArrearsRecord(Base):
    """How a contract stands, from its first arrears on; one that never was behind has none.

    `debts` are those that count, as JSON. `deletion_on` is the day that was announced for its data; `cleared_at` is
    when all of it was gone, of one that is closed.
    """

    __tablename__ = "arrears"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), unique=True)
    state: Mapped[str] = mapped_column(index=True)
    since_on: Mapped[date | None]
    until_on: Mapped[date | None]
    owed_micros: Mapped[int]
    debts: Mapped[list[Any]]
    deletion_on: Mapped[date | None]
    cleared_at: Mapped[datetime | None] = moment_column(nullable=True)
    changed_at: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column()

    @property
    def owed(self) -> Money:
        return Money(self.owed_micros)


class ArrearsChange(Base):
    """That a contract came from one state into another, and by which debts; a record."""

    __tablename__ = "arrears_changes"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), index=True)
    before: Mapped[str]
    after: Mapped[str]
    owed_micros: Mapped[int]
    debts: Mapped[list[Any]]
    until_on: Mapped[date | None]
    deletion_on: Mapped[date | None]
    created_at: Mapped[datetime] = moment_column()


class ArrearsExtension(Base):
    """Days that finance has given a contract in arrears, with the reason; a record."""

    __tablename__ = "arrears_extensions"
    __table_args__ = (CheckConstraint("last_on >= first_on", name="some_days"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), index=True)
    kind: Mapped[str]
    first_on: Mapped[date]
    last_on: Mapped[date]
    reason: Mapped[str]
    author: Mapped[str]
    created_at: Mapped[datetime] = moment_column()


class ArrearsDeletion(Base):
    """What was deleted of a contract that was closed; a record. `size_bytes` is what its file took."""

    __tablename__ = "arrears_deletions"
    __table_args__ = (UniqueConstraint("kind", "object_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), index=True)
    kind: Mapped[str]
    object_id: Mapped[str]
    size_bytes: Mapped[int]
    announced_on: Mapped[date]
    created_at: Mapped[datetime] = moment_column()

"""Fapiao and their files. Money in micro-yuan with the tax in it; a red one is below zero."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, Numeric, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column
from pricing.money import Money


class Fapiao(Base):
    """A fapiao from its request on; a red one names the one that it takes back of, and why."""

    __tablename__ = "fapiao"
    __table_args__ = (CheckConstraint("(red_of_id IS NULL) = (amount_micros > 0)", name="red_below_zero"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    status: Mapped[str]
    kind: Mapped[str]
    title: Mapped[dict[str, Any]]
    amount_micros: Mapped[int]
    tax_rate: Mapped[Decimal] = mapped_column(Numeric(6, 4))
    tax_micros: Mapped[int]
    lines: Mapped[list[Any]]
    capitals: Mapped[str]
    number: Mapped[str | None] = mapped_column(unique=True)
    issued_on: Mapped[date | None]
    red_of_id: Mapped[str | None] = mapped_column(ForeignKey("fapiao.id"), index=True)
    red_reason: Mapped[str | None]
    author: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
    ended_at: Mapped[datetime | None] = moment_column(nullable=True)

    @property
    def amount(self) -> Money:
        return Money(self.amount_micros)


class FapiaoFile(Base):
    """A file of an issued fapiao as finance got it: PDF, OFD or XML; a record."""

    __tablename__ = "fapiao_files"
    __table_args__ = (UniqueConstraint("fapiao_id", "format"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    fapiao_id: Mapped[str] = mapped_column(ForeignKey("fapiao.id"))
    format: Mapped[str]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = moment_column()

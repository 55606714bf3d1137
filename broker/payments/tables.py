"""Payments, what they are allocated to, and refunds. Money in micro-yuan."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.payments.model import Payer, PaymentStatus
from broker.persistence.database import Base, moment_column
from pricing.money import Money


class Payment(Base):
    """Money that came in, under the serial number of its bank or provider, and how much of it has found its place.

    `account` is ours. `customer_id` is whose money it is, once that is known. `outcome` and `reason` say what became of
    it when it came; `candidates` are invoices that it would fit where it fits several.
    """

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("source", "account", "serial"),
        CheckConstraint("amount_micros > 0", name="money_came"),
        CheckConstraint(
            "allocated_micros >= 0 AND returned_micros >= 0 AND allocated_micros + returned_micros <= amount_micros",
            name="spent_once",
        ),
        Index("ix_payments_open", "id", postgresql_where=text("allocated_micros + returned_micros < amount_micros")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"), index=True)
    source: Mapped[str]
    account: Mapped[str]
    serial: Mapped[str]
    amount_micros: Mapped[int]
    allocated_micros: Mapped[int]
    returned_micros: Mapped[int]
    value_on: Mapped[date]
    payer_name: Mapped[str] = mapped_column(index=True)
    payer_account: Mapped[str] = mapped_column(index=True)
    payer_bank: Mapped[str]
    remark: Mapped[str]
    outcome: Mapped[str]
    reason: Mapped[str]
    candidates: Mapped[list[Any]]
    author: Mapped[str]
    created_at: Mapped[datetime] = moment_column()

    @property
    def amount(self) -> Money:
        return Money(self.amount_micros)

    @property
    def open_amount(self) -> Money:
        """What of it has found no place yet."""
        return Money(self.amount_micros - self.allocated_micros - self.returned_micros)

    @property
    def payer(self) -> Payer:
        return Payer(self.payer_name, self.payer_account, self.payer_bank)

    @property
    def status(self) -> PaymentStatus:
        if self.returned_micros == self.amount_micros:
            return PaymentStatus.RETURNED
        if not self.open_amount.micros:
            return PaymentStatus.MATCHED
        placed = self.allocated_micros + self.returned_micros
        return PaymentStatus.PARTLY_MATCHED if placed else PaymentStatus.UNMATCHED


class PaymentAllocation(Base):
    """A part of a payment that pays an invoice, or is the customer's credit; undone, it is kept as it was.

    `fee_micros` is what the bank kept on the way, and the house bears: it settles the invoice beside the amount. A
    credit names the invoice that it came for where there was one.
    """

    __tablename__ = "payment_allocations"
    __table_args__ = (CheckConstraint("amount_micros > 0 AND fee_micros >= 0", name="pays_something"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"), index=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"))
    invoice_id: Mapped[str | None] = mapped_column(ForeignKey("invoices.id"), index=True)
    kind: Mapped[str]
    amount_micros: Mapped[int]
    fee_micros: Mapped[int]
    automatic: Mapped[bool]
    author: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
    undone_at: Mapped[datetime | None] = moment_column(nullable=True)
    undone_by: Mapped[str | None]
    undone_reason: Mapped[str | None]

    @property
    def amount(self) -> Money:
        return Money(self.amount_micros)

    @property
    def settles(self) -> Money:
        """What it takes off its invoice: the amount, and the fee that the bank kept."""
        return Money(self.amount_micros + self.fee_micros)


class Refund(Base):
    """Money that goes back, by which way, to whom; who asked for it and who sent it, under which reference.

    `taken_from` is what it is paid out of: units that were refunded, a credit, or a payment that goes back to its
    payer. The last has no contract, and a customer where one is known. `came_back_id` is the payment by which the
    money came back, of one that failed after it was sent.
    """

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("amount_micros > 0", name="gives_something"),
        CheckConstraint("(contract_id IS NULL) = (payment_id IS NOT NULL)", name="of_contract_or_payment"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"), index=True)
    contract_id: Mapped[str | None] = mapped_column(ForeignKey("contracts.id"), index=True)
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payments.id"), index=True)
    taken_from: Mapped[str]
    method: Mapped[str]
    status: Mapped[str]
    amount_micros: Mapped[int]
    payee_name: Mapped[str]
    payee_account: Mapped[str]
    payee_bank: Mapped[str]
    reason: Mapped[str]
    author: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
    sent_by: Mapped[str | None]
    sent_at: Mapped[datetime | None] = moment_column(nullable=True)
    bank_reference: Mapped[str | None]
    ended_by: Mapped[str | None]
    ended_at: Mapped[datetime | None] = moment_column(nullable=True)
    failure: Mapped[str | None]
    came_back_id: Mapped[str | None] = mapped_column(ForeignKey("payments.id"), index=True)

    @property
    def amount(self) -> Money:
        return Money(self.amount_micros)

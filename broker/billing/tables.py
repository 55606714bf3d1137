"""Invoices, credit notes, their lines, adjustments. Money in micro-yuan: whole fen on lines, a total is their sum."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column
from pricing.money import Money


class Invoice(Base):
    """An advance invoice asks for the hours of a grant, a usage invoice for one billing month.

    `tax_micros` is the tax in its total, by the mode and rate of its contract when it was written. What was credited,
    written off and paid of it comes off what is due.
    `due_on` is the last day, in its contract's time zone, on which it is paid in time: as many days after that of its
    number as the contract gave then.
    Contract number and purchase order are those of its contract when it was written; `issuer` and `buyer` are who
    issued it and to whom, as they were when it got its number: its documents never change. Those of before do not say.
    One with `expires_at` is an order: unpaid by then, it is void. A void one with `paid_at` was paid too late, and what
    came is the customer's credit. `payment_url` is where it can be paid, while a provider asks for it.
    """

    __tablename__ = "invoices"
    __table_args__ = (
        Index("ix_invoices_number_digits", text("replace(number, '-', '')")),
        Index("ix_invoices_finalized_at", "finalized_at"),
        Index("uq_invoices_usage_month", "contract_id", "month", unique=True, postgresql_where=text("kind = 'usage'")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[str | None] = mapped_column(unique=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"))
    contract_number: Mapped[str] = mapped_column(index=True)
    purchase_order: Mapped[str | None]
    issuer: Mapped[dict[str, Any] | None]
    buyer: Mapped[dict[str, Any] | None]
    grant_id: Mapped[str | None] = mapped_column(ForeignKey("grants.id"))
    kind: Mapped[str]
    month: Mapped[str | None]
    status: Mapped[str]
    total_micros: Mapped[int]
    tax_mode: Mapped[str]
    tax_rate: Mapped[Decimal | None] = mapped_column(Numeric(6, 4))
    tax_micros: Mapped[int]
    credited_micros: Mapped[int]
    written_off_micros: Mapped[int]
    paid_micros: Mapped[int]
    created_at: Mapped[datetime] = moment_column()
    finalized_at: Mapped[datetime | None] = moment_column(nullable=True)
    due_on: Mapped[date | None]
    paid_at: Mapped[datetime | None] = moment_column(nullable=True)
    expires_at: Mapped[datetime | None] = moment_column(nullable=True)
    payment_url: Mapped[str | None]

    @property
    def total(self) -> Money:
        return Money(self.total_micros)

    @property
    def net(self) -> Money:
        """The total without the tax in it."""
        return Money(self.total_micros - self.tax_micros)

    @property
    def tax(self) -> Money:
        return Money(self.tax_micros)

    @property
    def shown_status(self) -> str:
        """The status as people read it: an open invoice of which a part was paid says so."""
        return "partly_paid" if self.status == "open" and self.paid_micros else self.status

    @property
    def due(self) -> Money:
        """What is still to be paid: nothing of a void one, nor where more was paid or credited than it asks for."""
        if self.status == "void":
            return Money.zero()
        settled = self.credited_micros + self.written_off_micros + self.paid_micros
        return Money(max(0, self.total_micros - settled))


class InvoiceLine(Base):
    """`quantity` is in GPU-seconds or tokens; `unit_price` in yuan per GPU-hour or per token.

    A line that bills no meter, such as tax, has neither. `list_price` and `list_amount_micros` are what its usage costs
    without a contract; `grants` which grants paid for how much of it, `overage` how much none covers; `basis` is what
    it rests on beside its own month's usage. Lines of before 0.2 do not tell these.
    """

    __tablename__ = "invoice_lines"
    __table_args__ = (UniqueConstraint("invoice_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str]
    invoice_id: Mapped[str]
    position: Mapped[int]
    kind: Mapped[str]
    description: Mapped[str]
    job_id: Mapped[str | None]
    meter: Mapped[str | None]
    quantity: Mapped[int | None]
    unit_price: Mapped[Decimal | None] = mapped_column(Numeric(24, 12))
    rate_card_version: Mapped[str | None]
    used_month: Mapped[str | None]
    project_id: Mapped[str | None]
    list_price: Mapped[Decimal | None] = mapped_column(Numeric(24, 12))
    list_amount_micros: Mapped[int | None]
    grants: Mapped[list[Any]]
    overage: Mapped[int]
    basis: Mapped[dict[str, Any] | None]
    amount_micros: Mapped[int]


class InvoiceNumber(Base):
    """The last number of a series in a year: numbers have no gaps, so this is a locked row and not a sequence."""

    __tablename__ = "invoice_numbers"

    series: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_number: Mapped[int]


class CreditNote(Base):
    """What was taken back of a final invoice; a record. `tax_micros` is the tax in its total."""

    __tablename__ = "credit_notes"

    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"))
    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoices.id"), index=True)
    reason: Mapped[str]
    author: Mapped[str]
    total_micros: Mapped[int]
    tax_micros: Mapped[int]
    created_at: Mapped[datetime] = moment_column()


class CreditNoteLine(Base):
    """What a credit note takes back of one line of its invoice, without tax on top; `position` is that line's."""

    __tablename__ = "credit_note_lines"
    __table_args__ = (
        UniqueConstraint("credit_note_id", "position"),
        CheckConstraint("amount_micros > 0", name="takes_back"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    credit_note_id: Mapped[str] = mapped_column(ForeignKey("credit_notes.id"))
    invoice_line_id: Mapped[int] = mapped_column(ForeignKey("invoice_lines.id"), index=True)
    position: Mapped[int]
    amount_micros: Mapped[int]


class Adjustment(Base):
    """What was adjusted by hand, by whom and why; a record. Units: `quantity` in `unit`, which may be micro-yuan."""

    __tablename__ = "adjustments"
    __table_args__ = (CheckConstraint("quantity <> 0", name="changes_something"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"))
    kind: Mapped[str]
    grant_id: Mapped[str | None] = mapped_column(ForeignKey("grants.id"))
    invoice_id: Mapped[str | None] = mapped_column(ForeignKey("invoices.id"))
    unit: Mapped[str]
    quantity: Mapped[int]
    reason: Mapped[str]
    author: Mapped[str]
    created_at: Mapped[datetime] = moment_column()


class Dispute(Base):
    """A line of an invoice that its customer disputes, or a payment of it that the payer's bank takes back.

    `amount_micros` is what is disputed of the line, as the line says it; `gross_micros` with the tax on top of that.
    A chargeback has no line, but the payment, and the number that its provider knows the case by; one of a payment that
    became a credit of a contract has no invoice either. The moments are those
    of its states, and `remedy` is what followed where it was lost.
    """

    __tablename__ = "disputes"
    __table_args__ = (
        CheckConstraint("amount_micros > 0 AND gross_micros >= amount_micros", name="disputes_something"),
        CheckConstraint("(kind = 'chargeback') = (payment_id IS NOT NULL)", name="of_line_or_payment"),
        CheckConstraint("(kind = 'line') = (position IS NOT NULL)", name="of_line"),
        CheckConstraint("kind = 'chargeback' OR invoice_id IS NOT NULL", name="line_of_an_invoice"),
        Index("ix_disputes_standing", "invoice_id", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"))
    invoice_id: Mapped[str | None] = mapped_column(ForeignKey("invoices.id"), index=True)
    kind: Mapped[str]
    position: Mapped[int | None]
    payment_id: Mapped[str | None] = mapped_column(index=True)
    case_number: Mapped[str | None] = mapped_column(unique=True)
    status: Mapped[str]
    amount_micros: Mapped[int]
    gross_micros: Mapped[int]
    reason: Mapped[str]
    author: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
    answer: Mapped[str | None]
    answered_by: Mapped[str | None]
    answered_at: Mapped[datetime | None] = moment_column(nullable=True)
    remedy: Mapped[str | None]
    remedy_id: Mapped[str | None]
    ended_by: Mapped[str | None]
    ended_at: Mapped[datetime | None] = moment_column(nullable=True)

    @property
    def amount(self) -> Money:
        return Money(self.amount_micros)

    @property
    def gross(self) -> Money:
        return Money(self.gross_micros)

"""Manual adjustments: units of a grant, a customer's credit, a debt that is given up; each with reason and author."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Select, select

from broker import errors
from broker.billing.credit_notes import read_billed
from broker.billing.given_back import note_credited, share_given_up
from broker.billing.model import InvoiceKind, InvoiceStatus
from broker.billing.service import list_lines, lock_invoice
from broker.billing.tables import Adjustment, Invoice
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.ledger import service as ledger
from broker.persistence.database import narrow
from broker.second_person import Giving, require_second_person
from broker.work import Work
from pricing.money import Money, round_to_fen
from pricing.rating import price_usage
from pricing.usage import Unit


class AdjustmentKind(StrEnum):
    """What is adjusted: the units of a grant, what a customer has as credit, or an invoice that will not be paid."""

    GRANT = "grant"
    CREDIT = "credit"
    BAD_DEBT = "bad_debt"


@dataclass(frozen=True)
class GrantAdjustment:
    """Units that a grant gets, or loses where they are below zero. Units: the grant's own."""

    grant_id: str
    quantity: int
    reason: str


@dataclass(frozen=True)
class CreditAdjustment:
    """Money that a contract's customer gets as credit, or loses of it where it is below zero."""

    contract_id: str
    amount: Money
    reason: str


@dataclass(frozen=True)
class BadDebt:
    """What of an open invoice is given up; None: all that is due. Below zero it is owed again, as where it is paid."""

    invoice_id: str
    amount: Money | None
    reason: str


@dataclass(frozen=True)
class _Adjusted:
    """What was adjusted, as it is kept."""

    kind: AdjustmentKind
    unit: Unit
    quantity: int
    reason: str
    grant_id: str | None = None
    invoice_id: str | None = None


async def adjust_grant(work: Work, new: GrantAdjustment) -> Adjustment:
    """Give a grant units, or take some that are free. Raises: NotFound, IllegalTransition, InvalidRequest."""
    terms = await contracts.lock_contract(work, (await contracts.get_grant(work, new.grant_id)).contract_id)
    grant = await contracts.get_grant(work, new.grant_id)
    require_second_person(work, Giving.GRANT, _price_units(grant, new.quantity))
    adjusted = _Adjusted(AdjustmentKind.GRANT, grant.unit, new.quantity, new.reason, grant_id=grant.id)
    row = await _write(work, terms, adjusted)
    await ledger.resize_grant(work, terms, grant, new.quantity, reference=row.id)
    return row


def _price_units(grant: GrantTerms, quantity: int) -> Money:
    return round_to_fen(price_usage(grant.unit, abs(quantity), grant.unit_price))


async def adjust_credit(work: Work, new: CreditAdjustment) -> Adjustment:
    """Give a customer credit, or take some that is there. Raises: NotFound, InvalidRequest."""
    terms = await contracts.lock_contract(work, new.contract_id)
    there = await ledger.read_credit(work, terms.id)
    if -new.amount > there:
        raise errors.invalid_field("amount", f"takes more than the credit that is there: {there}")
    require_second_person(work, Giving.CREDIT, new.amount)
    adjusted = _Adjusted(AdjustmentKind.CREDIT, Unit.MICRO_YUAN, new.amount.micros, new.reason)
    row = await _write(work, terms, adjusted)
    await ledger.book_goodwill(work, terms, new.amount, reference=row.id)
    return row


async def write_off(work: Work, new: BadDebt) -> Adjustment:
    """Give up what is due of an open invoice for usage, or a part of it; below zero, take that back.

    Raises: NotFound, IllegalTransition, InvalidRequest.
    """
    terms, invoice = await lock_invoice(work, new.invoice_id)
    if new.amount is not None and new.amount.micros < 0:
        return await _take_write_off_back(work, terms, invoice, new)
    if invoice.status != InvoiceStatus.OPEN or invoice.kind != InvoiceKind.USAGE:
        raise errors.IllegalTransition(
            f"Invoice {invoice.number or invoice.id} is {invoice.status} and of kind {invoice.kind}; "
            "only an open one for usage can be written off.",
            status_before=invoice.status,
        )
    amount = new.amount or invoice.due
    if amount > invoice.due:
        raise errors.invalid_field("amount", f"is more than is due of the invoice: {invoice.due}")
    require_second_person(work, Giving.WRITE_OFF, amount)
    row = await _book_bad_debt(work, terms, invoice, amount, new.reason)
    if not invoice.due.micros:
        invoice.status = InvoiceStatus.WRITTEN_OFF.value
    return row


async def _take_write_off_back(work: Work, terms: ContractTerms, invoice: Invoice, new: BadDebt) -> Adjustment:
    """Let so much of what was given up be due again. Raises: InvalidRequest, where no so much was."""
    assert new.amount is not None, "it is below zero"
    given_up = Money(invoice.written_off_micros)
    if -new.amount > given_up:
        raise errors.invalid_field("amount", f"takes back more than was given up of the invoice: {given_up}")
    row = await _book_bad_debt(work, terms, invoice, new.amount, new.reason)
    if invoice.due.micros:
        invoice.status, invoice.paid_at = InvoiceStatus.OPEN.value, None
    return row


async def _book_bad_debt(work: Work, terms: ContractTerms, invoice: Invoice, amount: Money, reason: str) -> Adjustment:
    """Book what is given up of an invoice, or owed again where it is below zero, and note it of the lines."""
    adjusted = _Adjusted(AdjustmentKind.BAD_DEBT, Unit.MICRO_YUAN, amount.micros, reason, invoice_id=invoice.id)
    row = await _write(work, terms, adjusted)
    await ledger.book_bad_debt(work, terms, amount, reference=row.id)
    lines = await list_lines(work, invoice.id)
    shares = share_given_up(invoice, await read_billed(work, invoice, lines), amount)
    await note_credited(work, invoice, lines, shares)
    invoice.written_off_micros += amount.micros
    return row


async def _write(work: Work, terms: ContractTerms, adjusted: _Adjusted) -> Adjustment:
    row = Adjustment(
        id=work.new_id("adj"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        kind=adjusted.kind.value,
        grant_id=adjusted.grant_id,
        invoice_id=adjusted.invoice_id,
        unit=adjusted.unit.value,
        quantity=adjusted.quantity,
        reason=adjusted.reason,
        author=work.actor.id,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    return row


def select_adjustments(**wanted: str | None) -> Select[Adjustment]:
    """Select the adjustments that the actor sees, all or those with these values in their columns."""
    return narrow(select(Adjustment), **wanted)


async def get_adjustment(work: Work, adjustment_id: str) -> Adjustment:
    """Get an adjustment. Raises: NotFound."""
    row = await work.session.get(Adjustment, adjustment_id)
    if row is None:
        raise errors.NotFound("adjustment", adjustment_id)
    return row

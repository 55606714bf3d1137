"""Disputes: a line that a customer does not accept, or a payment that its bank takes back, with dates and an end.

What is disputed of what is due is not overdue: `read_disputed` tells it to whoever asks a customer for money.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from sqlalchemy import Select, func, select

from broker import errors
from broker.billing.adjustments import BadDebt, write_off
from broker.billing.credit_notes import NewCreditNote, issue_credit_note, read_billed
from broker.billing.crediting import CreditedLine
from broker.billing.dispute_model import STANDING, DisputeKind, DisputeStatus, Remedy, choose_remedy, require_next
from broker.billing.model import InvoiceStatus, LineKind
from broker.billing.service import list_lines, lock_invoice
from broker.billing.tables import Dispute, Invoice, InvoiceLine
from broker.contracts import service as contracts
from broker.persistence.database import narrow
from broker.work import Role, Work
from pricing.money import MICROS_PER_UNIT, Money, round_to_fen
from pricing.tax import TaxMode

__all__ = [
    "Dispute",
    "NewChargeback",
    "NewDispute",
    "answer_dispute",
    "end_dispute",
    "get_dispute",
    "list_standing_chargebacks",
    "lock_dispute",
    "lose_line",
    "open_chargeback",
    "open_dispute",
    "read_disputed",
    "read_won",
    "require_new_case",
    "select_disputes",
    "win_dispute",
    "withdraw_dispute",
]


@dataclass(frozen=True)
class NewDispute:
    """The line of a final invoice that is disputed, and how much of it; None: all that is left of it."""

    invoice_id: str
    position: int
    reason: str
    amount: Money | None = None


@dataclass(frozen=True)
class Won:
    """How much of an invoice was disputed in vain, as the house has decided, and when it last decided so."""

    gross: Money
    ended_at: datetime


@dataclass(frozen=True)
class NewChargeback:
    """A payment that the payer's bank takes back, and its number there: of an invoice, or else a contract's credit."""

    contract_id: str
    invoice_id: str | None
    payment_id: str
    amount: Money
    reason: str
    case_number: str | None = None


async def open_dispute(work: Work, new: NewDispute) -> Dispute:
    """Open a dispute of a line. Raises: NotFound, IllegalTransition, InvalidRequest."""
    _terms, invoice = await lock_invoice(work, new.invoice_id)
    if invoice.status not in {InvoiceStatus.OPEN, InvoiceStatus.PAID}:
        raise errors.IllegalTransition(
            f"Invoice {invoice.number or invoice.id} is {invoice.status}; lines of an open or paid one are disputed.",
            status_before=invoice.status,
        )
    line = await _get_line(work, invoice, new.position)
    left = await _read_left(work, invoice, line)
    amount = new.amount or left
    if not Money.zero() < amount <= left:
        raise errors.invalid_field("amount", f"must be above zero, and no more than is left of the line: {left}")
    whose = {"customer_id": invoice.customer_id, "contract_id": invoice.contract_id, "invoice_id": invoice.id}
    own = {"kind": DisputeKind.LINE.value, "position": line.position}
    return await _write(work, amount, _add_tax(invoice, amount), new.reason, **whose, **own)


async def _get_line(work: Work, invoice: Invoice, position: int) -> InvoiceLine:
    lines = {line.position: line for line in await list_lines(work, invoice.id)}
    line = lines.get(position)
    if line is None or line.kind in {LineKind.TAX, LineKind.BORNE} or line.amount_micros <= 0:
        raise errors.invalid_field("position", "is no line of the invoice that asks for something before tax")
    return line


async def _read_left(work: Work, invoice: Invoice, line: InvoiceLine) -> Money:
    """Read what neither credit notes nor corrections have taken back of a line nor other disputes are about."""
    billed = await read_billed(work, invoice, await list_lines(work, invoice.id))
    disputed = select(func.coalesce(func.sum(Dispute.amount_micros), 0)).where(
        Dispute.invoice_id == line.invoice_id, Dispute.position == line.position, Dispute.ended_at.is_(None)
    )
    taken = Money(int(await work.session.scalar(disputed) or 0))
    return max(Money.zero(), billed.lines[line.position].left - taken)


def _add_tax(invoice: Invoice, amount: Money) -> Money:
    """Add the tax that stands on top of lines, rounded once to the fen."""
    if invoice.tax_mode != TaxMode.ON_TOP or invoice.tax_rate is None:
        return amount
    return amount + round_to_fen(Fraction(amount.micros, MICROS_PER_UNIT) * Fraction(invoice.tax_rate))


async def open_chargeback(work: Work, new: NewChargeback) -> Dispute:
    """Open a dispute of a payment. The caller has checked the payment and the case. Raises: NotFound."""
    if new.invoice_id is None:
        terms = await contracts.lock_contract(work, new.contract_id)
    else:
        terms, _invoice = await lock_invoice(work, new.invoice_id)
    whose = {"customer_id": terms.customer_id, "contract_id": terms.id, "invoice_id": new.invoice_id}
    own = {"kind": DisputeKind.CHARGEBACK.value, "payment_id": new.payment_id, "case_number": new.case_number}
    return await _write(work, new.amount, new.amount, new.reason, **whose, **own)


async def require_new_case(work: Work, case_number: str) -> None:
    """Require that no dispute has the number of a case at a bank or provider. Raises: InvalidRequest."""
    known = await work.session.scalar(select(Dispute.id).where(Dispute.case_number == case_number))
    if known is not None:
        raise errors.invalid_field("case_number", f"is that of dispute {known} already")


async def _write(work: Work, amount: Money, gross: Money, reason: str, **own: Any) -> Dispute:
    row = Dispute(
        id=work.new_id("dsp"),
        status=DisputeStatus.OPENED.value,
        amount_micros=amount.micros,
        gross_micros=gross.micros,
        reason=reason,
        author=work.actor.id,
        created_at=work.now,
        **own,
    )
    work.session.add(row)
    await work.session.flush()
    return row


async def answer_dispute(work: Work, dispute_id: str, answer: str) -> Dispute:
    """Answer what is disputed; nothing ends by it. Raises: NotFound, IllegalTransition."""
    row = await lock_dispute(work, dispute_id)
    require_next(DisputeStatus(row.status), DisputeStatus.ANSWERED)
    row.status, row.answer = DisputeStatus.ANSWERED.value, answer
    row.answered_by, row.answered_at = work.actor.id, work.now
    return row


async def withdraw_dispute(work: Work, dispute_id: str) -> Dispute:
    """Withdraw a dispute: what it is about is owed as before. A chargeback is withdrawn by its bank, as staff tells it.

    Raises: NotFound, IllegalTransition, Forbidden.
    """
    row = await lock_dispute(work, dispute_id)
    if row.kind == DisputeKind.CHARGEBACK and work.actor.role == Role.CUSTOMER:
        raise errors.Forbidden("Have your bank withdraw the chargeback; finance notes it when the bank says so.")
    end_dispute(work, row, DisputeStatus.WITHDRAWN)
    return row


async def win_dispute(work: Work, dispute_id: str) -> Dispute:
    """End a dispute for the house: what it is about stands. Raises: NotFound, IllegalTransition."""
    row = await lock_dispute(work, dispute_id)
    end_dispute(work, row, DisputeStatus.WON)
    return row


async def lose_line(work: Work, dispute_id: str, remedy: Remedy | None = None) -> Dispute:
    """End a dispute of a line for the customer: a credit note takes it back, or the debt is given up.

    Raises: NotFound, IllegalTransition, InvalidRequest.
    """
    row = await lock_dispute(work, dispute_id)
    chosen = choose_remedy(DisputeKind(row.kind), remedy)
    end_dispute(work, row, DisputeStatus.LOST)
    assert row.position is not None, "a dispute of a line names it"
    assert row.invoice_id is not None, "a line is of an invoice"
    reason = f"Dispute {row.id}: {row.reason}"[:500]
    if chosen == Remedy.CREDIT_NOTE:
        lines = [CreditedLine(row.position, row.amount)]
        row.remedy_id = (await issue_credit_note(work, NewCreditNote(row.invoice_id, reason, lines))).id
    else:
        row.remedy_id = (await write_off(work, BadDebt(row.invoice_id, row.gross, reason))).id
    row.remedy = chosen.value
    return row


def end_dispute(work: Work, row: Dispute, status: DisputeStatus) -> None:
    """Note how a dispute ended. Raises: IllegalTransition."""
    require_next(DisputeStatus(row.status), status)
    row.status, row.ended_by, row.ended_at = status.value, work.actor.id, work.now


async def lock_dispute(work: Work, dispute_id: str) -> Dispute:
    """Lock a dispute, after its contract. Raises: NotFound."""
    await contracts.lock_contract(work, (await get_dispute(work, dispute_id)).contract_id)
    return await work.session.get_one(Dispute, dispute_id, with_for_update=True, populate_existing=True)


async def get_dispute(work: Work, dispute_id: str) -> Dispute:
    """Get a dispute. Raises: NotFound."""
    row = await work.session.get(Dispute, dispute_id)
    if row is None:
        raise errors.NotFound("dispute", dispute_id)
    return row


async def list_standing_chargebacks(work: Work, payment_id: str) -> list[Dispute]:
    """List the chargebacks of a payment that have not ended."""
    query = select(Dispute).where(Dispute.payment_id == payment_id, Dispute.ended_at.is_(None)).order_by(Dispute.id)
    return list((await work.session.scalars(query)).all())


def select_disputes(**wanted: str | None) -> Select[Dispute]:
    """Select the disputes that the actor sees, all or those with these values in their columns."""
    return narrow(select(Dispute), **wanted)


async def read_disputed(work: Work, invoice_ids: Collection[str]) -> dict[str, Money]:
    """Read what is disputed of what is due of invoices, by their ids: that is not overdue while it stands.

    Only disputes of lines count: what a chargeback is about is paid until it is lost.
    """
    query = (
        select(Dispute.invoice_id, func.sum(Dispute.gross_micros))
        .where(Dispute.invoice_id.in_(invoice_ids), Dispute.kind == DisputeKind.LINE.value)
        .where(Dispute.status.in_([each.value for each in STANDING]))
        .group_by(Dispute.invoice_id)
    )
    disputed = {str(each): Money(int(micros)) for each, micros in await work.session.execute(query)}
    invoices = await work.session.scalars(select(Invoice).where(Invoice.id.in_(disputed)))
    return {row.id: min(disputed[row.id], row.due) for row in invoices.all()}


async def read_won(work: Work, invoice_ids: Collection[str]) -> dict[str, Won]:
    """Read what was disputed of invoices until the house has won, by their ids: those days were nobody's delay."""
    query = (
        select(Dispute.invoice_id, func.sum(Dispute.gross_micros), func.max(Dispute.ended_at))
        .where(Dispute.invoice_id.in_(invoice_ids), Dispute.kind == DisputeKind.LINE.value)
        .where(Dispute.status == DisputeStatus.WON.value)
        .group_by(Dispute.invoice_id)
    )
    rows = (await work.session.execute(query)).all()
    return {str(each): Won(Money(int(micros)), ended_at) for each, micros, ended_at in rows if ended_at is not None}

"""Credit notes: issued against final invoices, line by line; they take back what was billed and are never changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select

from broker import errors
from broker.billing.crediting import BilledInvoice, BilledLine, CreditedLine, CreditSums, list_all_left, plan_credit
from broker.billing.given_back import note_credited, read_refunded, share_taken_back
from broker.billing.model import InvoiceKind, InvoiceStatus, LineKind
from broker.billing.numbers import Series, next_number
from broker.billing.service import list_lines, lock_invoice
from broker.billing.tables import CreditNote, CreditNoteLine, Invoice, InvoiceLine
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.persistence.database import narrow
from broker.second_person import Giving, require_second_person
from broker.work import Work
from pricing.money import Money
from pricing.tax import TaxMode


@dataclass(frozen=True)
class NewCreditNote:
    """What is to be taken back of which invoice, and why."""

    invoice_id: str
    reason: str
    lines: Sequence[CreditedLine]


async def issue_credit_note(work: Work, new: NewCreditNote) -> CreditNote:
    """Issue a credit note: it comes off what is due of the invoice, and what was paid already becomes a credit.

    Raises: NotFound, IllegalTransition, InvalidRequest.
    """
    terms, invoice = await lock_invoice(work, new.invoice_id)
    _require_creditable(invoice)
    billed = await list_lines(work, invoice.id)
    before = await read_billed(work, invoice, billed)
    sums = plan_credit(before, new.lines)
    _require_not_written_off(invoice, before, sums)
    require_second_person(work, Giving.CREDIT_NOTE, sums.total)
    note = await _write(work, invoice, new, sums)
    ids = {line.position: line.id for line in billed}
    work.session.add_all(
        CreditNoteLine(
            customer_id=invoice.customer_id,
            credit_note_id=note.id,
            invoice_line_id=ids[line.position],
            position=line.position,
            amount_micros=line.amount.micros,
        )
        for line in new.lines
    )
    await _book(work, terms, invoice, note)
    await note_credited(work, invoice, billed, {line.position: line.amount for line in new.lines})
    await work.session.flush()
    return note


def _require_not_written_off(invoice: Invoice, billed: BilledInvoice, sums: CreditSums) -> None:
    """Require that nothing is credited of what was written off: nobody has paid it, or will. Raises: InvalidRequest."""
    left = max(Money.zero(), invoice.due + Money(invoice.paid_micros) - billed.taken_back_with_tax)
    if invoice.written_off_micros and sums.total > left:
        told = f"come to {sums.total}, with tax; {left} of the invoice is neither credited nor written off"
        raise errors.invalid_field("lines", told)


async def credit_whole(work: Work, invoice_id: str, reason: str) -> CreditNote:
    """Issue a credit note for all that is left of an invoice, tax and all.

    Raises: NotFound, IllegalTransition, InvalidRequest, ApprovalNeeded.
    """
    _terms, invoice = await lock_invoice(work, invoice_id)
    billed = await read_billed(work, invoice, await list_lines(work, invoice.id))
    return await issue_credit_note(work, NewCreditNote(invoice_id, reason, list_all_left(billed)))


def _require_creditable(invoice: Invoice) -> None:
    """Require a final invoice, and a paid one where it is for an advance: an order that is not paid is cancelled."""
    final = {InvoiceStatus.OPEN, InvoiceStatus.PAID}
    if invoice.kind == InvoiceKind.ADVANCE:
        final = {InvoiceStatus.PAID}
    if invoice.status not in final:
        states = " or ".join(sorted(status.value for status in final))
        raise errors.IllegalTransition(
            f"Invoice {invoice.number or invoice.id} is {invoice.status}; "
            f"a credit note for one of kind {invoice.kind} needs it to be {states}.",
            status_before=invoice.status,
        )


async def read_billed(work: Work, invoice: Invoice, lines: Sequence[InvoiceLine]) -> BilledInvoice:
    """Read what is billed by an invoice's lines, and what of it was given back. The caller holds its lock."""
    query = (
        select(CreditNoteLine.invoice_line_id, func.sum(CreditNoteLine.amount_micros).label("micros"))
        .where(CreditNoteLine.invoice_line_id.in_([line.id for line in lines]))
        .group_by(CreditNoteLine.invoice_line_id)
    )
    credited = {row.invoice_line_id: int(row.micros) for row in await work.session.execute(query)}
    taken_back = await share_taken_back(work, invoice, lines)
    billed = {
        line.position: BilledLine(
            LineKind(line.kind),
            Money(line.amount_micros),
            Money(credited.get(line.id, 0)),
            taken_back.get(line.position, Money.zero()),
        )
        for line in lines
    }
    refunded, tax_mode = await read_refunded(work, [invoice]), TaxMode(invoice.tax_mode)
    in_lines = refunded.net if tax_mode == TaxMode.ON_TOP else refunded.net + refunded.tax
    return BilledInvoice(billed, tax_mode, invoice.tax, in_lines)


async def _write(work: Work, invoice: Invoice, new: NewCreditNote, sums: CreditSums) -> CreditNote:
    note = CreditNote(
        id=work.new_id("crn"),
        number=await next_number(work, Series.CREDIT_NOTE),
        customer_id=invoice.customer_id,
        contract_id=invoice.contract_id,
        invoice_id=invoice.id,
        reason=new.reason,
        author=work.actor.id,
        total_micros=sums.total.micros,
        tax_micros=sums.tax.micros,
        created_at=work.now,
    )
    work.session.add(note)
    await work.session.flush()
    return note


async def _book(work: Work, terms: ContractTerms, invoice: Invoice, note: CreditNote) -> None:
    total, tax = Money(note.total_micros), Money(note.tax_micros)
    paid_before = max(Money.zero(), total - invoice.due)
    await ledger.book_credit_note(work, terms, net=total - tax, tax=tax, to_credit=paid_before, reference=note.id)
    invoice.credited_micros += note.total_micros
    if invoice.status == InvoiceStatus.OPEN and not invoice.due.micros:
        invoice.status, invoice.paid_at = InvoiceStatus.PAID.value, work.now


def select_credit_notes(**wanted: str | None) -> Select[CreditNote]:
    """Select the credit notes that the actor sees, all or those with these values in their columns."""
    return narrow(select(CreditNote), **wanted)


async def get_credit_note(work: Work, credit_note_id: str) -> CreditNote:
    """Get a credit note. Raises: NotFound."""
    note = await work.session.get(CreditNote, credit_note_id)
    if note is None:
        raise errors.NotFound("credit note", credit_note_id)
    return note


async def list_credited_lines(work: Work, credit_note_id: str) -> list[CreditNoteLine]:
    query = select(CreditNoteLine).where(CreditNoteLine.credit_note_id == credit_note_id)
    return list((await work.session.scalars(query.order_by(CreditNoteLine.position))).all())

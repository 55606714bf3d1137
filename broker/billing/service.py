"""Invoices: issued in advance for a grant, drafted from a month's captures, finalized, paid."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, delete, select

from broker import errors
from broker.billing.lines.compose import compose_lines
from broker.billing.lines.tax import sum_tax, tax_lines
from broker.billing.model import (
    DraftLine,
    InvoiceKind,
    InvoiceStatus,
    LineKind,
    compute_due_day,
    share_credit,
    sum_lines,
)
from broker.billing.numbers import Series, next_number
from broker.billing.orders import is_order_over, keep_late_payment, require_not_credited, void_order
from broker.billing.parties import Buyer, Issuer
from broker.billing.rows import make_rows
from broker.billing.tables import Invoice, InvoiceLine
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.guarantees import list_guaranteed_months
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.identity import service as identity
from broker.ledger import service as ledger
from broker.persistence.database import narrow
from broker.work import Work
from pricing.money import Money, round_to_fen
from pricing.rating import price_usage
from pricing.tax import Tax, TaxMode
from pricing.usage import Unit


async def issue_advance_invoice(
    work: Work, terms: ContractTerms, grant: GrantTerms, *, expires_at: datetime | None = None
) -> Invoice:
    """Issue the advance invoice for a grant; paying it credits the grant, until it expires."""
    line = DraftLine(
        kind=LineKind.COMMITMENT,
        description=f"{_describe_block(grant)} in advance, contract {terms.id}",
        job_id=None,
        meter=grant.unit,
        quantity=grant.quantity,
        unit_price=grant.unit_price,
        rate_card_version=terms.prices_at(work.now).rate_card_version,
        amount=round_to_fen(price_usage(grant.unit, grant.quantity, grant.unit_price)),
    )
    invoice = await _create_invoice(work, terms, InvoiceKind.ADVANCE, grant_id=grant.id)
    invoice.expires_at = expires_at
    await _write_lines(work, terms.tax, invoice, [line, *tax_lines(terms.tax, [line])])
    await _finalize(work, terms, invoice)
    await ledger.book_advance(work, terms, grant.id, net=invoice.net, tax=invoice.tax, reference=invoice.id)
    return invoice


def _describe_block(grant: GrantTerms) -> str:
    if grant.unit == Unit.TOKENS:
        return f"{grant.quantity} tokens"
    return f"{grant.quantity // 3600} GPU-hours"


async def _create_invoice(
    work: Work, terms: ContractTerms, kind: InvoiceKind, *, grant_id: str | None = None, month: str | None = None
) -> Invoice:
    invoice = Invoice(
        id=work.new_id("inv"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        contract_number=terms.contract_number,
        purchase_order=terms.purchase_order,
        grant_id=grant_id,
        kind=kind.value,
        month=month,
        status=InvoiceStatus.DRAFT.value,
        total_micros=0,
        tax_mode=TaxMode.NONE.value,
        tax_micros=0,
        credited_micros=0,
        written_off_micros=0,
        paid_micros=0,
        created_at=work.now,
    )
    work.session.add(invoice)
    await work.session.flush()
    return invoice


async def _write_lines(work: Work, tax: Tax, invoice: Invoice, lines: Sequence[DraftLine]) -> None:
    await work.session.execute(delete(InvoiceLine).where(InvoiceLine.invoice_id == invoice.id))
    rows = make_rows(lines)
    for row in rows:
        row.customer_id, row.invoice_id = invoice.customer_id, invoice.id
    work.session.add_all(rows)
    invoice.total_micros = sum_lines(lines).micros
    invoice.tax_mode = tax.mode.value
    invoice.tax_rate = None if tax.mode == TaxMode.NONE else tax.rate
    invoice.tax_micros = sum_tax(tax, lines).micros
    await work.session.flush()


async def draft_usage_invoice(work: Work, contract_id: str, month: str) -> Invoice:
    """Draft the month's invoice from its captures as they are now; a draft is written anew, a final one never touched.

    Raises: NotFound, InvalidRequest, IllegalTransition.
    """
    terms = await contracts.lock_contract(work, contract_id)
    if month > terms.billing_month(work.now):
        raise errors.invalid_field("month", "has not begun")
    invoice = await _find_usage_invoice(work, contract_id, month)
    if invoice is None:
        invoice = await _create_invoice(work, terms, InvoiceKind.USAGE, month=month)
    _require_status(invoice, InvoiceStatus.DRAFT)
    invoice.contract_number, invoice.purchase_order = terms.contract_number, terms.purchase_order
    await _write_lines(work, terms.of_month(month).tax, invoice, await compose_lines(work, terms, month))
    return invoice


async def _find_usage_invoice(work: Work, contract_id: str, month: str) -> Invoice | None:
    query = select(Invoice).where(
        Invoice.contract_id == contract_id, Invoice.kind == InvoiceKind.USAGE.value, Invoice.month == month
    )
    return (await work.session.scalars(query)).one_or_none()


def _require_status(invoice: Invoice, status: InvoiceStatus) -> None:
    if invoice.status != status:
        raise errors.IllegalTransition(
            f"Invoice {invoice.number or invoice.id} is {invoice.status}; this needs it to be {status.value}.",
            status_before=invoice.status,
        )


async def finalize_invoice(work: Work, invoice_id: str) -> Invoice:
    """Give a month's invoice its number; from then on it never changes, and late usage goes to the next open month.

    Raises: NotFound, IllegalTransition, PeriodStillOpen.
    """
    terms, invoice = await lock_invoice(work, invoice_id)
    _require_status(invoice, InvoiceStatus.DRAFT)
    assert invoice.month is not None, "a draft is a usage invoice"
    ends = terms.month_end(invoice.month)
    if work.now < ends:
        raise errors.PeriodStillOpen(
            f"{invoice.month} ends at {ends.isoformat()}; its invoice can be finalized from then on.",
            month=invoice.month,
        )
    await draft_usage_invoice(work, invoice.contract_id, invoice.month)
    await ledger.close_month(work, terms, invoice.month)
    await _finalize(work, terms, invoice)
    await _book_usage(work, terms, invoice, invoice.month)
    if invoice.total_micros < 0:
        await settle_invoice(work, terms, invoice)
    return invoice


async def _book_usage(work: Work, terms: ContractTerms, invoice: Invoice, month: str) -> None:
    """Book what a month's invoice asks for, and earn what advances have paid of it. Below zero it is a credit."""
    taken_off = [line.amount_micros for line in await list_lines(work, invoice.id) if line.kind == LineKind.ADVANCE]
    billed = ledger.MonthsInvoice(invoice.net, invoice.tax, by_grants=-Money(sum(taken_off)))
    await ledger.book_usage(work, terms, month, billed, reference=invoice.id)


async def _finalize(work: Work, terms: ContractTerms, invoice: Invoice) -> None:
    invoice.number = await next_number(work, Series.INVOICE)
    invoice.status, invoice.finalized_at = InvoiceStatus.OPEN.value, work.now
    invoice.due_on = compute_due_day(terms, work.now, invoice.expires_at)
    customer = await identity.get_customer(work, invoice.customer_id)
    invoice.issuer, invoice.buyer = Issuer.of(work.settings).to_json(), Buyer(customer.name).to_json()


async def pay_invoice(work: Work, invoice_id: str, *, from_credit: bool = False) -> Invoice:
    """Mark an invoice as paid; one for an advance credits its grant. Paying twice changes nothing.

    What comes for an order that is over stays the customer's credit. A credit pays as far as it reaches, whichever
    contract it is of: an invoice of which something is due after stays open.
    Raises: NotFound, IllegalTransition, InvalidRequest.
    """
    payers = await _lock_credits(work, await get_invoice(work, invoice_id)) if from_credit else set()
    terms, invoice = await lock_invoice(work, invoice_id)
    if invoice.status == InvoiceStatus.PAID:
        return invoice
    if await is_order_over(work, invoice):
        if from_credit:
            raise errors.IllegalTransition("The order is over; a credit cannot pay it.", status_before=invoice.status)
        await keep_late_payment(work, terms, invoice)
        return invoice
    _require_status(invoice, InvoiceStatus.OPEN)
    if from_credit:
        paid = await _take_credit(work, terms, invoice, payers)
    else:
        paid = invoice.due
        await ledger.book_receipt(work, terms, paid, reference=invoice.id)
    invoice.paid_micros += paid.micros
    if not invoice.due.micros:
        await settle_invoice(work, terms, invoice)
    return invoice


async def _lock_credits(work: Work, invoice: Invoice) -> set[str]:
    """Lock an invoice's contract and those whose credit may pay it, all in their order; returns their ids."""
    payers = {invoice.contract_id, *await ledger.read_credits(work, invoice.customer_id)}
    await contracts.lock_contracts(work, payers)
    return payers


async def _take_credit(work: Work, terms: ContractTerms, invoice: Invoice, payers: Collection[str]) -> Money:
    """Take what credit pays of an invoice: all of an advance, or as much as there is of another.

    `payers` are the contracts, all locked, whose credit may be taken.
    """
    there = await ledger.read_credits(work, terms.customer_id)
    used = share_credit(invoice.due, {each: there[each] for each in there if each in payers}, terms.id)
    paid = sum(used.values(), Money.zero())
    if not paid.micros or (invoice.kind == InvoiceKind.ADVANCE and paid < invoice.due):
        raise errors.invalid_field("from_credit", f"the credit is {paid}, and {invoice.due} is due")
    await ledger.book_credit_used(work, terms, used, reference=invoice.id)
    return paid


async def settle_invoice(work: Work, terms: ContractTerms, invoice: Invoice) -> None:
    """Mark an invoice of which nothing is due any more; one for an advance credits its grant."""
    invoice.status, invoice.paid_at = InvoiceStatus.PAID.value, work.now
    if invoice.grant_id is not None:
        await ledger.credit_grant(work, invoice.grant_id)
        facts = {"grant_id": invoice.grant_id, "invoice_id": invoice.id}
        await record_contract_event(work, terms, ContractEventKind.GRANT_PAID, facts)


async def cancel_order(work: Work, invoice_id: str) -> Invoice:
    """Cancel an order that nobody has paid: its advance invoice is void, its grant never credited.

    Cancelling twice changes nothing. Raises: NotFound, IllegalTransition.
    """
    terms, invoice = await lock_invoice(work, invoice_id)
    if invoice.status != InvoiceStatus.VOID:
        _require_status(invoice, InvoiceStatus.OPEN)
        await require_not_credited(work, invoice)
        await void_order(work, terms, invoice)
    return invoice


async def lock_invoice(work: Work, invoice_id: str) -> tuple[ContractTerms, Invoice]:
    """Lock an invoice and its contract: the contract first, as everywhere. Raises: NotFound."""
    terms = await contracts.lock_contract(work, (await get_invoice(work, invoice_id)).contract_id)
    invoice = await work.session.get_one(Invoice, invoice_id, with_for_update=True, populate_existing=True)
    return terms, invoice


def select_invoices(*, status: InvoiceStatus | None = None, **wanted: str | None) -> Select[Invoice]:
    """Select the invoices that the actor sees, all or those with these values in their columns.

    The status is the one that is shown: an open invoice is not partly paid.
    """
    query = narrow(select(Invoice), **wanted)
    if status in {InvoiceStatus.OPEN, InvoiceStatus.PARTLY_PAID}:
        is_partly_paid = Invoice.paid_micros != 0
        shown = is_partly_paid if status == InvoiceStatus.PARTLY_PAID else ~is_partly_paid
        return query.where(Invoice.status == InvoiceStatus.OPEN.value, shown)
    return query if status is None else query.where(Invoice.status == status.value)


async def get_invoice(work: Work, invoice_id: str) -> Invoice:
    """Get an invoice. Raises: NotFound."""
    invoice = await work.session.get(Invoice, invoice_id)
    if invoice is None:
        raise errors.NotFound("invoice", invoice_id)
    return invoice


async def list_lines(work: Work, invoice_id: str) -> list[InvoiceLine]:
    query = select(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id).order_by(InvoiceLine.position)
    return list((await work.session.scalars(query)).all())


class MonthOfContract(NamedTuple):
    """A billing month of one contract."""

    contract_id: str
    month: str

    def __str__(self) -> str:
        return f"{self.month} of contract {self.contract_id}"


async def list_undrafted_months(work: Work) -> list[MonthOfContract]:
    """List the billing months that have something to charge and no invoice yet, those under way among them.

    That is usage, a true-up, or guaranteed GPUs.
    """
    query = select(Invoice.contract_id, Invoice.month).where(Invoice.kind == InvoiceKind.USAGE.value)
    known = {(contract_id, month) for contract_id, month in await work.session.execute(query)}
    used = [*await ledger.list_months(work), *await ledger.list_true_up_months(work)]
    places = dict.fromkeys([*used, *await _list_guaranteed_months(work)])
    return [MonthOfContract(*place) for place in places if place not in known]


async def _list_guaranteed_months(work: Work) -> list[tuple[str, str]]:
    guaranteed = await contracts.list_guaranteed(work)
    return [(terms.id, month) for terms in guaranteed for month in list_guaranteed_months(terms, work.now)]


async def draft_if_over(work: Work, place: MonthOfContract) -> Invoice | None:
    """Draft the invoice of a billing month that is over, which finance finalizes; None while it is under way."""
    terms = await contracts.get_contract(work, place.contract_id)
    if place.month >= terms.billing_month(work.now):
        return None
    return await draft_usage_invoice(work, place.contract_id, place.month)

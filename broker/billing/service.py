"""Invoices: issued in advance for a grant, drafted from a month's captures, finalized, paid."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, select

from broker import errors
from broker.billing.drafting import Draft, draft_months, find_usage_invoices, new_invoice, write_drafts
from broker.billing.finalizing import finalize_months, number_invoices
from broker.billing.lines.tax import tax_lines
from broker.billing.model import DraftLine, InvoiceKind, InvoiceStatus, LineKind, share_credit
from broker.billing.orders import is_order_over, keep_late_payment, require_not_credited, void_order
from broker.billing.tables import Invoice, InvoiceLine
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.guarantees import list_guaranteed_months
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.ledger import service as ledger
from broker.persistence.database import narrow
from broker.work import Work
from pricing.money import Money, round_to_fen
from pricing.rating import price_usage
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
    invoice = new_invoice(work, terms, InvoiceKind.ADVANCE)
    invoice.grant_id, invoice.expires_at = grant.id, expires_at
    await write_drafts(work, [Draft(invoice, terms.tax, [line, *tax_lines(terms.tax, [line])])])
    await number_invoices(work, [(terms, invoice)])
    await ledger.book_advance(work, terms, grant.id, net=invoice.net, tax=invoice.tax, reference=invoice.id)
    return invoice


def _describe_block(grant: GrantTerms) -> str:
    if grant.unit == Unit.TOKENS:
        return f"{grant.quantity} tokens"
    return f"{grant.quantity // 3600} GPU-hours"


async def draft_usage_invoice(work: Work, contract_id: str, month: str) -> Invoice:
    """Draft the month's invoice from its captures as they are now; a draft is written anew, a final one never touched.

    Raises: NotFound, InvalidRequest, IllegalTransition, PeriodClosed.
    """
    terms = await contracts.lock_contract(work, contract_id)
    if month > terms.billing_month(work.now):
        raise errors.invalid_field("month", "has not begun")
    found = await find_usage_invoices(work, [contract_id], month)
    if contract_id in found:
        _require_status(found[contract_id], InvoiceStatus.DRAFT)
    elif month in (await ledger.list_closed_of(work, [contract_id]))[contract_id]:
        raise errors.PeriodClosed(
            f"{month} is closed, and nothing was to be billed for it; what comes now is on a later month's invoice.",
            month=month,
        )
    drafts = await draft_months(work, {contract_id: terms}, month, keep_empty=True)
    return drafts[contract_id].invoice


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
    drafts = await draft_months(work, {terms.id: terms}, invoice.month, keep_empty=True)
    await finalize_months(work, {terms.id: terms}, invoice.month, drafts)
    return invoice


async def pay_invoice(work: Work, invoice_id: str, *, from_credit: bool = False, most: Money | None = None) -> Invoice:
    """Mark an invoice as paid; one for an advance credits its grant. Paying twice changes nothing.

    What comes for an order that is over stays the customer's credit. A credit pays as far as it reaches, whichever
    contract it is of, and no more than `most`: an invoice of which something is due after stays open.
    Raises: NotFound, IllegalTransition, InvalidRequest.
    """
    payers = await _lock_credits(work, await get_invoice(work, invoice_id)) if from_credit else set()
    terms, invoice = await lock_invoice(work, invoice_id)
    if invoice.status == InvoiceStatus.PAID:
        return invoice
    if await is_order_over(work, invoice):
        if from_credit:
            raise errors.IllegalTransition(
                "It asks for nothing any more; a credit cannot pay it.", status_before=invoice.status
            )
        await keep_late_payment(work, terms, invoice)
        return invoice
    _require_status(invoice, InvoiceStatus.OPEN)
    if from_credit:
        paid = await _take_credit(work, terms, invoice, payers, most)
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


async def _take_credit(
    work: Work, terms: ContractTerms, invoice: Invoice, payers: Collection[str], most: Money | None
) -> Money:
    """Take what credit pays of an invoice: all of an advance, or as much as there is of another, up to `most`.

    `payers` are the contracts, all locked, whose credit may be taken.
    """
    there = await ledger.read_credits(work, terms.customer_id)
    asked = invoice.due if most is None else min(invoice.due, most)
    used = share_credit(asked, {each: there[each] for each in there if each in payers}, terms.id)
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


async def list_issued_since(work: Work, since: datetime, *, without: Select[Any]) -> list[Invoice]:
    """List the invoices that got their number since a moment and ask for something, the oldest first.

    `without` selects the ids of those that are known already.
    """
    asking = (Invoice.status != InvoiceStatus.VOID.value, Invoice.total_micros > 0)
    query = select(Invoice).where(Invoice.finalized_at > since, *asking, Invoice.id.not_in(without))
    return list(await work.session.scalars(query.order_by(Invoice.id)))


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


async def list_invoice_numbers(work: Work, invoice_ids: Collection[str]) -> dict[str, str]:
    """List the numbers of invoices, by their ids; a draft has none."""
    rows = await work.session.execute(select(Invoice.id, Invoice.number).where(Invoice.id.in_(invoice_ids)))
    return {invoice_id: number for invoice_id, number in rows if number is not None}


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
    known |= await ledger.list_all_closed(work)
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

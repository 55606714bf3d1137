"""Drafting a month's invoices of several contracts: read in one go, composed purely, written in bulk."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select

from broker.billing.lines.compose import compose_lines
from broker.billing.lines.tax import sum_tax
from broker.billing.model import DraftLine, InvoiceKind, InvoiceStatus, sum_lines
from broker.billing.rows import list_values
from broker.billing.tables import Invoice, InvoiceLine
from broker.contracts.terms.model import ContractTerms
from broker.persistence.membership import is_one_of
from broker.persistence.set_writes import command_inserts
from broker.work import Work
from pricing.tax import Tax, TaxMode


@dataclass(frozen=True)
class Draft:
    """An invoice that is not final with the lines that it gets, which are taxed so."""

    invoice: Invoice
    tax: Tax
    lines: Sequence[DraftLine]


async def draft_months(
    work: Work, terms: Mapping[str, ContractTerms], month: str, *, keep_empty: bool = False
) -> dict[str, Draft]:
    """Draft a month's invoices of contracts from their captures as they are now, by contract: drafts are written anew.

    A contract that has nothing to bill gets no invoice, unless an empty one is wanted (`keep_empty`) or was drafted
    before. None of them has a final one. The caller holds the contracts' locks.
    """
    composed = await compose_lines(work, terms, month)
    found = await find_usage_invoices(work, terms.keys(), month)
    drafts: dict[str, Draft] = {}
    for each in sorted(terms):
        if composed[each] or each in found or keep_empty:
            invoice = found.get(each) or new_invoice(work, terms[each], InvoiceKind.USAGE, month=month)
            drafts[each] = Draft(invoice, terms[each].of_month(month).tax, composed[each])
            invoice.contract_number = terms[each].contract_number
            invoice.purchase_order = terms[each].purchase_order
    await write_drafts(work, list(drafts.values()), were_there={invoice.id for invoice in found.values()})
    return drafts


async def find_usage_invoices(work: Work, contract_ids: Collection[str], month: str) -> dict[str, Invoice]:
    """Find the usage invoices of a month, by contract; of a contract that has none there is none."""
    query = select(Invoice).where(
        is_one_of(Invoice.contract_id, contract_ids), Invoice.kind == InvoiceKind.USAGE.value, Invoice.month == month
    )
    return {row.contract_id: row for row in await work.session.scalars(query)}


def new_invoice(work: Work, terms: ContractTerms, kind: InvoiceKind, *, month: str | None = None) -> Invoice:
    """Make an invoice of a contract that asks for nothing yet; the session has it."""
    invoice = Invoice(
        id=work.new_id("inv"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        contract_number=terms.contract_number,
        purchase_order=terms.purchase_order,
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
    return invoice


async def write_drafts(work: Work, drafts: Sequence[Draft], *, were_there: Collection[str] = ()) -> None:
    """Write the lines of invoices, and what they come to; those that `were_there`, by their ids, lose what they had."""
    if were_there:
        await work.session.execute(delete(InvoiceLine).where(InvoiceLine.invoice_id.in_(were_there)))
    for each in drafts:
        each.invoice.total_micros = sum_lines(each.lines).micros
        each.invoice.tax_mode = each.tax.mode.value
        each.invoice.tax_rate = None if each.tax.mode == TaxMode.NONE else each.tax.rate
        each.invoice.tax_micros = sum_tax(each.tax, each.lines).micros
    rows = [
        {"customer_id": each.invoice.customer_id, "invoice_id": each.invoice.id, **values}
        for each in drafts
        for values in list_values(each.lines)
    ]
    await work.run_together(command_inserts(InvoiceLine, rows))

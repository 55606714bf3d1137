"""Receipts: what money that came in pays of a final invoice, and what is taken back of it. The caller holds the locks.

Whose money it is, and where it came from, is the business of `payments`; an invoice only knows what was paid of it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, func, select

from broker import errors
from broker.billing.model import InvoiceStatus
from broker.billing.orders import close_late_order, command_credited, is_order_over, list_orders_over
from broker.billing.service import settle_invoice
from broker.billing.tables import Invoice
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.persistence.driver import Command
from broker.work import Work
from pricing.money import Money

LockedInvoices = Mapping[str, Invoice]


@dataclass(frozen=True)
class Payable:
    """A final invoice as a payment sees it. An order that is over asks for nothing: what comes for it is a credit."""

    invoice_id: str
    number: str
    customer_id: str
    contract_id: str
    due: Money
    is_over: bool = False


async def list_named(work: Work, bodies: Collection[str]) -> list[Payable]:
    """List the invoices whose numbers, without dashes, are these."""
    return await _list_payable(work, func.replace(Invoice.number, "-", "").in_(bodies)) if bodies else []


async def list_payable(work: Work, invoice_ids: Collection[str]) -> list[Payable]:
    """List those of some invoices that are final."""
    return await _list_payable(work, Invoice.id.in_(invoice_ids)) if invoice_ids else []


async def list_open(work: Work, customer_ids: Collection[str]) -> list[Payable]:
    """List the invoices of some customers of which something is due."""
    if not customer_ids:
        return []
    is_open = (Invoice.status == InvoiceStatus.OPEN.value) & Invoice.customer_id.in_(customer_ids)
    return [each for each in await _list_payable(work, is_open) if each.due.micros]


async def _list_payable(work: Work, wanted: ColumnElement[bool]) -> list[Payable]:
    query = select(Invoice).where(Invoice.status != InvoiceStatus.DRAFT.value, wanted).order_by(Invoice.id)
    rows = (await work.session.scalars(query.execution_options(populate_existing=True))).all()
    over = await list_orders_over(work, rows)
    return [_describe(row, is_over=row.id in over) for row in rows]


def _describe(row: Invoice, *, is_over: bool) -> Payable:
    assert row.number is not None, "a final invoice has a number"
    due = Money.zero() if is_over else row.due
    return Payable(row.id, row.number, row.customer_id, row.contract_id, due, is_over)


async def lock_invoices(work: Work, invoice_ids: Collection[str]) -> LockedInvoices:
    """Lock invoices in the order of their ids; the caller has locked their contracts."""
    query = select(Invoice).where(Invoice.id.in_(invoice_ids)).order_by(Invoice.id).with_for_update()
    rows = await work.session.scalars(query.execution_options(populate_existing=True))
    return {row.id: row for row in rows.all()}


@dataclass(frozen=True)
class ReceiptBooks:
    """What is to be booked and told of many receipts: written together, once all of them have found their place."""

    work: Work
    transfers: list[ledger.SidesTransfer] = field(default_factory=list)
    events: list[Command] = field(default_factory=list)

    async def take(
        self, terms: ContractTerms, invoice: Invoice, amount: Money, fee: Money, *, transfer_id: str
    ) -> None:
        """Pay an invoice, or a part of it, by money that came; one for an advance credits its grant once all is paid.

        `fee` is what the bank kept, and the house bears. The caller never pays more than is due.
        """
        assert amount + fee <= invoice.due, "what is beyond what is due is a credit"
        paid = ledger.match_receipt(terms, amount, fee, reference=invoice.id, transfer_id=transfer_id)
        self.transfers.append(paid)
        invoice.paid_micros += (amount + fee).micros
        if not invoice.due.micros:
            await settle_invoice(self.work, terms, invoice)

    async def keep(
        self, terms: ContractTerms, invoice: Invoice | None, amount: Money, *, reference: str, transfer_id: str
    ) -> None:
        """Keep money that came as the customer's credit; an order for which it came too late is void."""
        if invoice is not None and await is_order_over(self.work, invoice):
            await close_late_order(self.work, terms, invoice)
        self.transfers.append(ledger.keep_receipt(terms, amount, reference=reference, transfer_id=transfer_id))
        self.events.append(command_credited(self.work, terms, None if invoice is None else invoice.id, amount))

    async def write(self) -> None:
        """Write all of it. Raises: PeriodClosed."""
        await ledger.post_sides(self.work, self.transfers)
        await self.work.run_together(self.events)
        self.transfers.clear()
        self.events.clear()


async def free_receipt(
    work: Work, terms: ContractTerms, invoice: Invoice, amount: Money, fee: Money, *, transfer_id: str
) -> None:
    """Take back that money paid an invoice: it is due again, as far as it was not credited meanwhile.

    What a credit note gave back as a credit, since the invoice was paid, comes out of that credit again; and so does
    all of it where the invoice is an order that is void. A grant that was credited stays with its contract.
    Raises: InvalidRequest, where that credit is used.
    """
    if invoice.status == InvoiceStatus.VOID:
        await require_credit(work, terms, amount)
        await ledger.book_kept_freed(work, terms, amount, reference=invoice.id, transfer_id=transfer_id)
        return
    given_back = _count_beyond(invoice, invoice.paid_micros) - _count_beyond(
        invoice, invoice.paid_micros - (amount + fee).micros
    )
    await require_credit(work, terms, given_back)
    await ledger.book_receipt_freed(work, terms, amount, fee, reference=invoice.id, transfer_id=transfer_id)
    await ledger.book_credit_to_due(work, terms, given_back, reference=invoice.id)
    invoice.paid_micros -= (amount + fee).micros
    if invoice.due.micros:
        invoice.status, invoice.paid_at = InvoiceStatus.OPEN.value, None


def _count_beyond(invoice: Invoice, paid_micros: int) -> Money:
    """Count what is credited, written off and paid beyond the total: credit notes gave that back as a credit."""
    settled = invoice.credited_micros + invoice.written_off_micros + paid_micros
    return Money(max(0, settled - max(0, invoice.total_micros)))


async def free_kept(work: Work, terms: ContractTerms, amount: Money, *, reference: str, transfer_id: str) -> None:
    """Take back that money is a customer's credit. Raises: InvalidRequest, where the credit is used."""
    await require_credit(work, terms, amount)
    await ledger.book_kept_freed(work, terms, amount, reference=reference, transfer_id=transfer_id)


async def require_credit(work: Work, terms: ContractTerms, amount: Money) -> None:
    """Require that so much of a contract's credit is there. Raises: InvalidRequest."""
    there = await ledger.read_credit(work, terms.id)
    if amount > there:
        message = (
            f"{amount} of it became the credit of contract {terms.id}, of which {there} are left; adjust that first"
        )
        raise errors.invalid_field("payment_id", message)


async def list_contracts(work: Work, invoice_ids: Collection[str]) -> dict[str, str]:
    """List the contracts of invoices, by the ids of these. Raises: NotFound."""
    rows = await work.session.execute(select(Invoice.id, Invoice.contract_id).where(Invoice.id.in_(invoice_ids)))
    found = dict(rows.all())
    for invoice_id in invoice_ids:
        if invoice_id not in found:
            raise errors.NotFound("invoice", invoice_id)
    return found

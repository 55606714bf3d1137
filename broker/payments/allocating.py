"""Allocating: parts of payments go to invoices and credits, and are undone. The caller holds the turn of payments."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import select

from broker.arrears import service as arrears
from broker.billing import receipts as billing
from broker.contracts import service as contracts
from broker.contracts.terms.arrears import ArrearsState
from broker.contracts.terms.model import ContractTerms
from broker.payments.matching import KnownPayers, OpenBook, Share
from broker.payments.model import AllocationKind
from broker.payments.tables import Payment, PaymentAllocation
from broker.work import Work


@dataclass(frozen=True)
class Allocating:
    """What may be paid, locked: contracts by their ids, invoices, and what is due of each."""

    work: Work
    terms: dict[str, ContractTerms]
    invoices: billing.LockedInvoices
    book: OpenBook
    books: billing.ReceiptBooks
    touched: set[str] = field(default_factory=set)

    async def allocate(self, payment: Payment, share: Share, *, automatic: bool) -> None:
        """Give a part of a payment to an invoice, or to a credit, as it was planned from `book`; `write` books it."""
        work, terms = self.work, self.terms[share.contract_id]
        row = PaymentAllocation(
            id=work.new_id("pal"),
            payment_id=payment.id,
            customer_id=share.customer_id,
            contract_id=share.contract_id,
            invoice_id=share.invoice_id,
            kind=share.kind.value,
            amount_micros=share.amount.micros,
            fee_micros=share.fee.micros,
            automatic=automatic,
            author=work.actor.id,
            created_at=work.now,
        )
        work.session.add(row)
        is_only = not payment.allocated_micros or payment.customer_id == share.customer_id
        payment.customer_id = share.customer_id if is_only else None
        payment.allocated_micros += share.amount.micros
        self.touched.add(terms.id)
        invoice = None if share.invoice_id is None else self.invoices[share.invoice_id]
        booked = {"transfer_id": name_transfer(row)}
        if share.kind == AllocationKind.CREDIT:
            await self.books.keep(terms, invoice, share.amount, reference=payment.id, **booked)
        else:
            assert invoice is not None, "what pays is for an invoice"
            await self.books.take(terms, invoice, share.amount, share.fee, **booked)

    async def write(self) -> None:
        """Write what was allocated, and how contracts that were behind with paying stand now. Raises: PeriodClosed."""
        await self.work.session.flush()
        await self.books.write()
        for contract_id in sorted(self.touched):
            if self.terms[contract_id].arrears_state != ArrearsState.CURRENT:
                await arrears.refresh(self.work, contract_id)
        self.touched.clear()

    async def undo(self, payment: Payment, row: PaymentAllocation, reason: str) -> None:
        """Take an allocation back: its money is unmatched again, and the invoice owed. Raises: InvalidRequest."""
        work, terms = self.work, self.terms[row.contract_id]
        booked = {"transfer_id": name_transfer(row, undone=True)}
        if row.kind == AllocationKind.CREDIT:
            await billing.free_kept(work, terms, row.amount, reference=payment.id, **booked)
        else:
            assert row.invoice_id is not None, "what pays is for an invoice"
            invoice = self.invoices[row.invoice_id]
            await billing.free_receipt(work, terms, invoice, row.amount, row.settles - row.amount, **booked)
        row.undone_at, row.undone_by, row.undone_reason = work.now, work.actor.id, reason
        payment.allocated_micros -= row.amount_micros
        await work.session.flush()
        await note_customer(work, payment)
        await arrears.refresh(work, terms.id)


def name_transfer(row: PaymentAllocation, *, undone: bool = False) -> str:
    """Name the transfer by which an allocation is booked, or taken back: each has one, which `verify` looks for."""
    return f"tra_{row.id.partition('_')[2]}{'u' if undone else ''}"


async def open_allocating(work: Work, seen: Mapping[str, str], payers: KnownPayers) -> Allocating:
    """Lock invoices, given with their contracts, and read what is due of them now."""
    return await open_contracts(work, set(seen.values()), seen, payers)


async def open_contracts(
    work: Work, contract_ids: Collection[str], invoice_ids: Collection[str], payers: KnownPayers
) -> Allocating:
    """Lock contracts in their order, then invoices of theirs. Raises: NotFound."""
    terms = await contracts.lock_contracts(work, contract_ids)
    invoices = await billing.lock_invoices(work, invoice_ids)
    payables = {each.invoice_id: each for each in await billing.list_payable(work, invoice_ids)}
    return Allocating(work, terms, invoices, OpenBook(payables, payers), billing.ReceiptBooks(work))


async def note_customer(work: Work, payment: Payment) -> None:
    """Note whose money a payment is: the customer of all that it is allocated to, where that is one."""
    live = await list_live(work, payment.id)
    customers = {row.customer_id for row in live}
    payment.customer_id = next(iter(customers)) if len(customers) == 1 else None


async def list_live(work: Work, payment_id: str) -> list[PaymentAllocation]:
    """List the allocations of a payment that were not undone, in their order."""
    rows = await list_allocations(work, [payment_id])
    return [row for row in rows if row.undone_at is None]


async def list_allocations(work: Work, payment_ids: Collection[str]) -> list[PaymentAllocation]:
    """List all allocations of payments, undone ones among them, in their order."""
    query = select(PaymentAllocation).where(PaymentAllocation.payment_id.in_(payment_ids))
    return list(await work.session.scalars(query.order_by(PaymentAllocation.id)))

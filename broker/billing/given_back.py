"""What has been given back of an invoice: by credit notes, and beside them by others, never twice.

Of an advance there are refunds of the units that it paid for; of usage there are corrections, by which later months'
invoices take back of it, and write-offs. Together they never come to more than was asked for, or paid. Units that were
carried on into another contract may be refunded there while a note is issued here, under another contract's lock: both
take the invoice's, after it.
"""

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction

from sqlalchemy import func, select

from broker.billing.crediting import BilledInvoice
from broker.billing.model import LineKind
from broker.billing.tables import CreditNote, Invoice, InvoiceLine
from broker.contracts import service as contracts
from broker.ledger import service as ledger
from broker.work import Work
from pricing.money import Money, round_to_fen
from pricing.usage import Unit

OF_USAGE = frozenset({LineKind.USAGE, LineKind.CORRECTION})


async def lock_advance(work: Work, invoice_id: str) -> Invoice:
    """Lock the invoice of which something is given back: nobody else gives back of it before this is done.

    The caller holds the lock of a contract, and takes the locks of several invoices in the order of their ids.
    """
    return await work.session.get_one(Invoice, invoice_id, with_for_update=True, populate_existing=True)


async def read_refunded(work: Work, invoices: Collection[Invoice]) -> ledger.Worth:
    """Read what was refunded of all grants that invoices have paid for, those that were made of others among them."""
    paid = await contracts.list_paid_by(work, [invoice.id for invoice in invoices])
    return await ledger.read_refunded(work, paid)


async def find_left(work: Work, invoice: Invoice) -> ledger.Worth:
    """Find what of an advance neither credit notes nor refunds have given back, without tax, and the tax on that."""
    refunded = await read_refunded(work, [invoice])
    taxes = select(func.coalesce(func.sum(CreditNote.tax_micros), 0)).where(CreditNote.invoice_id == invoice.id)
    credited_tax = Money(int(await work.session.scalar(taxes) or 0))
    credited = Money(invoice.credited_micros) - credited_tax
    return ledger.Worth(
        max(Money.zero(), invoice.net - credited - refunded.net),
        max(Money.zero(), invoice.tax - credited_tax - refunded.tax),
    )


async def note_credited(
    work: Work, invoice: Invoice, lines: Sequence[InvoiceLine], amounts: Mapping[int, Money]
) -> None:
    """Note what is credited of lines, by their positions, or will never be paid: corrections give back the rest alone.

    The caller holds the contract's lock.
    """
    if invoice.month is not None:
        places = list_places(lines, invoice.month)
        noted = [(places[position], amount) for position, amount in amounts.items() if position in places]
        await ledger.note_credits(work, invoice.month, noted)


async def share_taken_back(work: Work, invoice: Invoice, lines: Sequence[InvoiceLine]) -> dict[int, Money]:
    """Share what later months' invoices take back of lines among these, by their positions.

    Lines that are one, but for the rate cards that priced them, have it in their order.
    """
    if invoice.month is None:
        return {}
    left = dict(await ledger.read_taken_back(work, invoice.contract_id, invoice.month))
    amounts = {line.position: Money(line.amount_micros) for line in lines}
    shares: dict[int, Money] = {}
    for position, place in list_places(lines, invoice.month).items() if left else ():
        shares[position] = min(amounts[position], left.get(place, Money.zero()))
        left[place] = left.get(place, Money.zero()) - shares[position]
    return shares


def list_places(lines: Sequence[InvoiceLine], month: str) -> dict[int, ledger.LinePlace]:
    """List which lines of usage a month's invoice asks for, by their positions: none that a line takes off again."""
    taken_off = {line.position - 1 for line in lines if line.kind == LineKind.ADVANCE}
    return {
        line.position: ledger.LinePlace(line.job_id, line.used_month or month, Unit(line.meter), line.unit_price)
        for line in lines
        if line.kind in OF_USAGE and line.position not in taken_off and (line.quantity or 0) > 0
        if line.job_id is not None and line.meter is not None and line.unit_price is not None
    }


def share_given_up(invoice: Invoice, billed: BilledInvoice, amount: Money) -> dict[int, Money]:
    """Share an amount of an invoice that will never be paid among its lines, by what is left of them, to the fen. Pure.

    Below zero it is owed again. `billed` is the invoice as crediting sees it. Units: shares by the lines' positions,
    without tax on top.
    """
    whole = invoice.total_micros - invoice.credited_micros
    part = Fraction(amount.micros, whole)
    left = {position: line.left for position, line in billed.lines.items()}
    return {position: min(each, round_to_fen(Fraction(each.to_decimal()) * part)) for position, each in left.items()}

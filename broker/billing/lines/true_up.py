"""The part of a draft that charges for committed hours which nobody has used: the true-up of a period that is over."""

from sqlalchemy import func, select

from broker.billing.model import DraftLine, InvoiceStatus, LineKind
from broker.billing.tables import CreditNoteLine, Invoice, InvoiceLine
from broker.contracts.terms.model import ContractTerms
from broker.http.shapes import as_hours
from broker.ledger import service as ledger
from broker.work import Work
from pricing.money import Money


async def true_up_lines(work: Work, terms: ContractTerms, month: str) -> list[DraftLine]:
    """Draft what the periods that are over owe for unused hours, less what final invoices have asked for it already.

    It stands in the first open month from a period's last one on: usage that is told after its true-up has become
    final is taken off again there.
    """
    true_up = await ledger.find_true_up(work, terms, month)
    if true_up is None:
        return []
    billed = await _read_billed(work, terms.id)
    more = compute_more(true_up.owed, billed, await _read_credited(work, terms.id))
    if not more.micros:
        return []
    text = describe_true_up(true_up, is_first=not billed.micros, is_late=month != true_up.last_month)
    return [DraftLine(kind=LineKind.TRUE_UP, description=text, amount=more)]


def compute_more(owed: Money, billed: Money, credited: Money) -> Money:
    """Compute what is still to be asked for unused hours; below zero it is given back. Pure.

    What credit notes have taken back is not asked for again, and not given back once more where hours are used later:
    of that only what goes beyond them is. Source: decision 0045.
    """
    return max(owed, credited) - billed


def describe_true_up(true_up: ledger.TrueUp, *, is_first: bool, is_late: bool) -> str:
    """Describe a true-up for people: what it charges is less what those before it did. Pure."""
    name = "true-up corrected" if is_late and not is_first else "true-up"
    text = f"{name}: {as_hours(true_up.unused)} committed GPU-hours not used by the end of {true_up.last_month}"
    return text if is_first or is_late else f"{text}, less what was charged for them before"


async def _read_billed(work: Work, contract_id: str) -> Money:
    """Read what final invoices have asked for unused hours, those among them that were written off or credited."""
    query = (
        select(func.coalesce(func.sum(InvoiceLine.amount_micros), 0))
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(Invoice.contract_id == contract_id, Invoice.status.not_in((InvoiceStatus.DRAFT, InvoiceStatus.VOID)))
        .where(InvoiceLine.kind == LineKind.TRUE_UP.value)
    )
    return Money(int(await work.session.scalar(query) or 0))


async def _read_credited(work: Work, contract_id: str) -> Money:
    """Read what credit notes have taken back of true-ups."""
    query = (
        select(func.coalesce(func.sum(CreditNoteLine.amount_micros), 0))
        .join(InvoiceLine, InvoiceLine.id == CreditNoteLine.invoice_line_id)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(Invoice.contract_id == contract_id, InvoiceLine.kind == LineKind.TRUE_UP.value)
    )
    return Money(int(await work.session.scalar(query) or 0))

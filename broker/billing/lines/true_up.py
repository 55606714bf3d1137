"""The part of a draft that charges for committed hours which nobody has used: the true-up of a period that is over."""

from dataclasses import dataclass
from fractions import Fraction

from sqlalchemy import func, select

from broker.billing.model import DraftLine, InvoiceStatus, LineKind
from broker.billing.tables import CreditNoteLine, Invoice, InvoiceLine
from broker.contracts.terms.model import ContractTerms
from broker.http.shapes import as_hours
from broker.ledger import service as ledger
from broker.work import Work
from pricing.money import Money, round_to_fen


async def true_up_lines(work: Work, terms: ContractTerms, month: str) -> list[DraftLine]:
    """Draft what the periods that are over owe for unused hours, less what final invoices have asked for it already.

    It stands in the first open month from a period's last one on: usage that is told after its true-up has become
    final is taken off again there.
    """
    true_up = await ledger.find_true_up(work, terms, month)
    if true_up is None:
        return []
    billed = await _read_billed(work, terms.id)
    asked = sum((each.amount for each in billed), Money.zero())
    more = compute_more(true_up.owed, asked, sum((each.given_up for each in billed), Money.zero()))
    if not more.micros:
        return []
    text = describe_true_up(true_up, is_first=not asked.micros, is_late=month != true_up.last_month)
    return [DraftLine(kind=LineKind.TRUE_UP, description=text, amount=more)]


def compute_more(owed: Money, billed: Money, given_up: Money) -> Money:
    """Compute what is still to be asked for unused hours; below zero it is given back. Pure.

    What credit notes have taken back and what was written off is not asked for again, and not given back where hours
    are used later: nobody has paid it. Of what was billed only what goes beyond it is. Source: decision 0045.
    """
    return max(owed, given_up) - billed


@dataclass(frozen=True)
class BilledTrueUp:
    """A final invoice's line for unused hours, and what became of it and of the whole invoice, with its tax."""

    amount: Money
    credited: Money
    total: Money
    all_credited: Money
    all_written_off: Money

    @property
    def given_up(self) -> Money:
        """Tell what of the line was taken back by credit notes, or will never be paid.

        A write-off is of an invoice: each of its lines has its share of it, of what credit notes have left, to the fen.
        """
        left, whole = self.amount - self.credited, self.total - self.all_credited
        if left.micros <= 0 or whole.micros <= 0:
            return self.credited
        share = Fraction(self.all_written_off.to_decimal()) * Fraction(left.micros, whole.micros)
        return self.credited + min(left, round_to_fen(share))


def describe_true_up(true_up: ledger.TrueUp, *, is_first: bool, is_late: bool) -> str:
    """Describe a true-up for people: what it charges is less what those before it did. Pure."""
    name = "true-up corrected" if is_late and not is_first else "true-up"
    text = f"{name}: {as_hours(true_up.unused)} committed GPU-hours not used by the end of {true_up.last_month}"
    return text if is_first or is_late else f"{text}, less what was charged for them before"


async def _read_billed(work: Work, contract_id: str) -> list[BilledTrueUp]:
    """Read what final invoices have asked for unused hours, those among them that were written off or credited."""
    credited = func.coalesce(func.sum(CreditNoteLine.amount_micros), 0)
    of_invoice = (Invoice.total_micros, Invoice.credited_micros, Invoice.written_off_micros)
    query = (
        select(InvoiceLine.amount_micros, credited, *of_invoice)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .outerjoin(CreditNoteLine, CreditNoteLine.invoice_line_id == InvoiceLine.id)
        .where(Invoice.contract_id == contract_id, Invoice.status.not_in((InvoiceStatus.DRAFT, InvoiceStatus.VOID)))
        .where(InvoiceLine.kind == LineKind.TRUE_UP.value)
        .group_by(InvoiceLine.id, Invoice.id)
    )
    rows = await work.session.execute(query)
    return [BilledTrueUp(*(Money(int(micros)) for micros in row)) for row in rows]

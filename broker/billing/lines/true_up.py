"""The part of a draft that charges for committed hours which nobody has used: the true-up of a period that is over."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from broker.billing.lines.batch import MonthBatch
from broker.billing.lines.still_asked import BilledTrueUp, compute_given_up, compute_more
from broker.billing.model import DraftLine, InvoiceStatus, LineKind
from broker.billing.tables import CreditNoteLine, Invoice, InvoiceLine
from broker.http.shapes import as_hours
from broker.ledger import service as ledger
from broker.work import Work
from pricing.money import Money


async def true_up_lines(work: Work, batch: MonthBatch) -> Mapping[str, list[DraftLine]]:
    """Draft what the periods that are over owe for unused hours, less what final invoices have asked for it already.

    It stands in the first open month from a period's last one on: usage that is told after its true-up has become
    final is taken off again there.
    """
    due = await ledger.find_true_ups(work, batch.terms.values(), batch.month)
    billed = await _read_billed(work, due.keys()) if due else {}
    return {each: draft_true_up(true_up, billed.get(each, ()), batch.month) for each, true_up in due.items()}


def draft_true_up(true_up: ledger.TrueUp, billed: Sequence[BilledTrueUp], month: str) -> list[DraftLine]:
    """Draft the line of one contract's true-up; none where all of it was asked for. Pure."""
    asked = sum((each.amount for each in billed), Money.zero())
    given_up = sum(map(compute_given_up, billed), Money.zero())
    more = compute_more(true_up.owed, asked, given_up)
    if not more.micros:
        return []
    text = describe_true_up(true_up, is_first=not asked.micros, is_late=month != true_up.last_month)
    basis = describe_basis(true_up, asked, given_up)
    return [DraftLine(kind=LineKind.TRUE_UP, description=text, amount=more, basis=basis)]


def describe_basis(true_up: ledger.TrueUp, asked: Money, given_up: Money) -> dict[str, Any]:
    """Describe what a true-up is owed of, and what was asked for before, as evidence tells it. Pure."""
    return {
        "commitments": [
            [
                {"committed": year.committed, "used": year.used, "unit_price": format(year.unit_price.normalize(), "f")}
                for year in years
            ]
            for years in true_up.commitments
        ],
        "asked_before": asked.format_amount(),
        "given_up": given_up.format_amount(),
    }


def describe_true_up(true_up: ledger.TrueUp, *, is_first: bool, is_late: bool) -> str:
    """Describe a true-up for people: what it charges is less what those before it did. Pure."""
    name = "true-up corrected" if is_late and not is_first else "true-up"
    text = f"{name}: {as_hours(true_up.unused)} committed GPU-hours not used by the end of {true_up.last_month}"
    return text if is_first or is_late else f"{text}, less what was charged for them before"


async def _read_billed(work: Work, contract_ids: Collection[str]) -> dict[str, list[BilledTrueUp]]:
    """Read what final invoices have asked for unused hours, those among them that were written off or credited."""
    credited = func.coalesce(func.sum(CreditNoteLine.amount_micros), 0)
    of_invoice = (Invoice.total_micros, Invoice.credited_micros, Invoice.written_off_micros)
    query = (
        select(Invoice.contract_id, InvoiceLine.amount_micros, credited, *of_invoice)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .outerjoin(CreditNoteLine, CreditNoteLine.invoice_line_id == InvoiceLine.id)
        .where(Invoice.contract_id.in_(contract_ids), Invoice.status != InvoiceStatus.DRAFT.value)
        .where(InvoiceLine.kind == LineKind.TRUE_UP.value)
        .group_by(InvoiceLine.id, Invoice.id)
    )
    billed: defaultdict[str, list[BilledTrueUp]] = defaultdict(list)
    for contract_id, *sums in await work.session.execute(query):
        billed[contract_id].append(BilledTrueUp(*(Money(int(micros)) for micros in sums)))
    return billed

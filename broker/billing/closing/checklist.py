"""The list of a month: what is to be seen to before it is closed, as billing and the rooms below it know it."""

from collections.abc import Sequence

from sqlalchemy import func, select

from broker.billing.closing.model import Check, Finding
from broker.billing.model import InvoiceKind, InvoiceStatus
from broker.billing.service import list_undrafted_months
from broker.billing.tables import Invoice
from broker.clock import month_end
from broker.contracts import service as contracts
from broker.ledger import service as ledger
from broker.metering.keeping.quarantine import count_undecided
from broker.work import Work

EXAMPLES_TOLD = 5


async def list_findings(work: Work, month: str, checks: Sequence[Check]) -> list[Finding]:
    """List the points of a month: billing's own, and those of the checks that were handed in."""
    return [await check(work, month) for check in (*OWN_CHECKS, *checks)]


async def check_drafts(work: Work, month: str) -> Finding:
    """Count the invoices that closing makes final: it drafts what is missing by itself."""
    drafts = select(Invoice.contract_id, Invoice.month).where(
        Invoice.kind == InvoiceKind.USAGE.value, Invoice.status == InvoiceStatus.DRAFT.value
    )
    places = [(each, name) for each, name in await work.session.execute(drafts) if name is not None]
    places += [(each.contract_id, each.month) for each in await list_undrafted_months(work)]
    terms = await contracts.load_terms(work, {contract_id for contract_id, _month in places})
    due = [(each, name) for each, name in places if name in ledger.list_months_to_close(terms[each], month)]
    told = f"{len(due)} invoices are not final; closing the month makes them so"
    return Finding("drafts", len(due), told, examples=[f"{each} {name}" for each, name in sorted(due)][:EXAMPLES_TOLD])


async def check_quarantine(work: Work, month: str) -> Finding:
    """Count the usage of the month, and before, that waits for a decision: whether it is charged is not known."""
    count, examples = await count_undecided(work, month_end(month, work.settings.time_zone), EXAMPLES_TOLD)
    told = f"{count} reports of usage are in quarantine and undecided; retry or dismiss them"
    return Finding("usage_quarantine", count, told, blocks=True, examples=examples)


async def check_receipts(work: Work, _month: str) -> Finding:
    """Tell what came in and is nobody's yet."""
    amount = await ledger.read_unmatched(work)
    told = f"receipts of {amount} are matched to no customer"
    return Finding("unmatched_receipts", int(amount.micros > 0), told, blocks=True)


async def check_compensations(work: Work, _month: str) -> Finding:
    """Count what is owed for lost work and on its way: the broker gives it by itself."""
    waiting = [*await ledger.list_holds_to_compensate(work), *await ledger.list_stranded_compensations(work)]
    told = f"{len(waiting)} compensations for lost work are on their way"
    return Finding("compensations", len(waiting), told, examples=waiting[:EXAMPLES_TOLD])


async def check_paid_twice(work: Work, _month: str) -> Finding:
    """Count the invoices of which more was paid or credited than they ask for: a credit note or refund is due."""
    settled = Invoice.credited_micros + Invoice.written_off_micros + Invoice.paid_micros
    over = (Invoice.status != InvoiceStatus.VOID.value) & (settled > func.greatest(0, Invoice.total_micros))
    rows = list(await work.session.scalars(select(Invoice.number).where(over).order_by(Invoice.number)))
    told = f"{len(rows)} invoices are paid or credited beyond their totals"
    return Finding("overpaid_invoices", len(rows), told, examples=[str(number) for number in rows[:EXAMPLES_TOLD]])


OWN_CHECKS: tuple[Check, ...] = (
    check_drafts,
    check_quarantine,
    check_receipts,
    check_compensations,
    check_paid_twice,
)

"""Making drafts final without anybody, once they were open for as many working days as there are to check them.

A contract may agree on who does so and on the days; else the installation's settings say it.
"""

from datetime import date

from sqlalchemy import select

from broker.billing.due_days import add_working_days
from broker.billing.model import InvoiceKind, InvoiceStatus
from broker.billing.tables import Invoice
from broker.clock import local_day
from broker.contracts import service as contracts
from broker.contracts.terms.agreed import Finalizing
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.work import Work


def find_final_day(terms: ContractTerms, month: str, working_days: int, country: str) -> date:
    """Find the day from which on a month's draft may become final by itself. Pure."""
    return add_working_days(ledger.find_last_day(terms, month), working_days, country)


async def list_due_drafts(work: Work) -> list[str]:
    """List the ids of drafts that are to become final by themselves now, and not by finance."""
    query = select(Invoice.id, Invoice.contract_id, Invoice.month).where(
        Invoice.kind == InvoiceKind.USAGE.value, Invoice.status == InvoiceStatus.DRAFT.value
    )
    drafts = (await work.session.execute(query.order_by(Invoice.id))).all()
    terms = await contracts.load_terms(work, {draft.contract_id for draft in drafts})
    return [draft.id for draft in drafts if _is_due(work, terms[draft.contract_id], draft.month or "")]


def _is_due(work: Work, terms: ContractTerms, month: str) -> bool:
    settings = work.settings
    if Finalizing(terms.finalizes or settings.finalizes) != Finalizing.AUTOMATIC:
        return False
    agreed = terms.draft_working_days
    working_days = settings.draft_working_days if agreed is None else agreed
    opens = find_final_day(terms, month, working_days, settings.holidays)
    return local_day(work.now, terms.time_zone) > opens and work.now >= terms.month_end(month)

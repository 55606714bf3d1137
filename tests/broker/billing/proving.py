"""Proving every final invoice that there is by its evidence, as `broker invoices verify` does."""

from sqlalchemy import select

from broker.billing.evidence import read_evidence, write_evidence
from broker.billing.tables import Invoice
from broker.system import System
from pricing.evidence.verify import verify_evidence


async def find_unproven(system: System) -> list[str]:
    """Find what does not hold of final invoices' evidence: the invoice, the place, and why."""
    async with system.work() as work:
        rows = (await work.session.execute(select(Invoice.id, Invoice.number).where(Invoice.status != "draft"))).all()
        files = [(number, write_evidence(await read_evidence(work, invoice_id))) for invoice_id, number in rows]
    return [
        f"{number}, {where}: {told}"
        for number, content in files
        for where, told in verify_evidence(content, known_cards={}).faults
    ]

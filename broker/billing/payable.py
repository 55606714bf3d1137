"""What rooms above ask of invoices that are to be paid: how much is due of each, and where it can be paid."""

from sqlalchemy import Select, case, func, select, update

from broker.billing.model import InvoiceStatus
from broker.billing.tables import CreditNote, Invoice
from broker.work import Work

__all__ = ["CreditNote", "Invoice", "select_due", "show_payment_link"]

ASK_FOR_NOTHING = (InvoiceStatus.DRAFT.value, InvoiceStatus.VOID.value)


def select_due() -> Select[tuple[str, int]]:
    """Select invoices with what is due of them, as `id` and `due_micros`: nothing of a draft or a void one."""
    settled = Invoice.credited_micros + Invoice.written_off_micros + Invoice.paid_micros
    due = case((Invoice.status.in_(ASK_FOR_NOTHING), 0), else_=func.greatest(0, Invoice.total_micros - settled))
    return select(Invoice.id, due.label("due_micros"))


async def show_payment_link(work: Work, invoice_id: str, url: str | None) -> None:
    """Show on an invoice where it can be paid; None: nowhere any more."""
    await work.session.execute(update(Invoice).where(Invoice.id == invoice_id).values(payment_url=url))

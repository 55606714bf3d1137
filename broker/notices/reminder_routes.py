"""Reminders of overdue invoices, by hand."""

from broker.http.edge import BillingReader, FinanceWork, feature_router
from broker.http.paging import cut_page
from broker.http.shapes import Cursor, Limit, Page
from broker.notices import reminders
from broker.notices.reminder_schemas import ReminderOut

router = feature_router("/invoices", "billing")


@router.post("/{invoice_id}/reminders", status_code=201)
async def remind_of_invoice(work: FinanceWork, invoice_id: str) -> ReminderOut:
    """Remind the customer of an overdue invoice: each of its contacts is told what is owed; at most once a day."""
    return ReminderOut.of(await reminders.remind_of_invoice(work, invoice_id))


@router.get("/{invoice_id}/reminders")
async def list_reminders(
    work: BillingReader, invoice_id: str, limit: Limit = 20, cursor: Cursor = None
) -> Page[ReminderOut]:
    """List when the customer was reminded of an invoice by hand, newest first."""
    found = await reminders.list_reminders(work, invoice_id)
    shown, after = cut_page(found, lambda each: each.id, limit=limit, cursor=cursor)
    return Page(data=[ReminderOut.of(each) for each in shown], next_cursor=after)

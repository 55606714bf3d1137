"""What follows from an event: its object is fetched as it is now, so that order and repetition of events do not matter.

An event about an object that is none of ours changes nothing. Whether an invoice is paid is told by the invoice:
neither an intent nor a charge that succeeded pays it here.
"""

from broker.payments.stripe import refunds
from broker.payments.stripe.client import StripeAccess
from broker.payments.stripe.disputes import DISPUTE, look_at_dispute
from broker.payments.stripe.fetching import fetch_whole, note_fetched
from broker.payments.stripe.invoices import find_by_stripe_id, lock_row
from broker.payments.stripe.planning import plan_invoice
from broker.payments.webhooks.receiving import TakenEvent, mark_handled
from broker.system import System

INVOICE, REFUND = "invoice.", "refund."
DELETED = "invoice.deleted"


async def handle_event(system: System, access: StripeAccess, event: TakenEvent) -> None:
    """Handle an event; what follows is done once, so a crash before it is marked does no harm.

    Raises: stripe.StripeError, DomainError, where our books cannot follow.
    """
    if event.object_id is not None and event.type.startswith(INVOICE) and event.type != DELETED:
        await _look_at_invoice(system, access, event.object_id)
    elif event.object_id is not None and event.type.startswith(REFUND):
        await refunds.look_at_refund(system, access, event.object_id)
    elif event.object_id is not None and event.type.startswith(DISPUTE):
        await look_at_dispute(system, access, event.object_id)
    async with system.work() as work:
        await mark_handled(work, event.id)


async def _look_at_invoice(system: System, access: StripeAccess, stripe_id: str) -> None:
    async with system.work() as work:
        row = await find_by_stripe_id(work, stripe_id)
    if row is None:
        return
    fetched = await access.ask(lambda client: fetch_whole(client, stripe_id))
    async with system.work() as work:
        await note_fetched(work, await lock_row(work, row.invoice_id), fetched)
    async with system.work() as work:
        await plan_invoice(work, row.invoice_id)

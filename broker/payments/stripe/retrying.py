"""An invoice that stands still at Stripe is tried again, by whoever has mended what stopped it."""

from sqlalchemy import select

from broker import errors
from broker.payments.stripe.invoices import lock_row
from broker.payments.stripe.model import StepState
from broker.payments.stripe.steps import use_new_key
from broker.payments.stripe.tables import StripeInvoice, StripeStep
from broker.work import Work


async def retry_invoice(work: Work, invoice_id: str) -> StripeInvoice:
    """Have the step that was refused sent again, under another key: the old one would be answered as before.

    Raises: NotFound, IllegalTransition.
    """
    row = await lock_row(work, invoice_id)
    if row.problem is None:
        raise errors.IllegalTransition(
            f"Invoice {invoice_id} does not stand still at Stripe; nothing of it is to be tried again.",
            status_before=row.status,
        )
    row.problem, row.settled = None, False
    query = select(StripeStep).where(StripeStep.invoice_id == invoice_id, StripeStep.state == StepState.REFUSED.value)
    for step in (await work.session.scalars(query.with_for_update())).all():
        use_new_key(step)
        step.state, step.ended_at, step.not_before = StepState.WAITING.value, None, work.now
    await work.session.flush()
    return row

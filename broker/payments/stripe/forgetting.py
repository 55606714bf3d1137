"""Steps at Stripe that nobody asks for any more are forgotten: how an invoice came there, once it is over there.

What says what was credited, settled outside or refunded stays: by that nothing is sent twice.
"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from broker.payments.stripe.model import StepKind, StepState, StripeStatus
from broker.payments.stripe.tables import StripeInvoice, StripeStep
from broker.system import System
from broker.work import Work

log = logging.getLogger(__name__)

FORGOTTEN = (StepKind.INVOICE.value, StepKind.LINES.value, StepKind.FINALIZE.value)
OVER = (StripeStatus.PAID.value, StripeStatus.VOID.value)
BATCH = 500


async def forget_old_steps(system: System) -> None:
    """Forget the steps that are older than the setting, in batches."""
    services, count = system.services, 0
    before = services.clock() - timedelta(days=services.settings.stripe_step_days)
    while True:
        async with system.work() as work:
            done = await forget_steps(work, before=before, limit=BATCH)
        count += done
        if done < BATCH:
            break
    if count:
        log.info("swept %d steps at Stripe of invoices that are over there", count)


async def forget_steps(work: Work, *, before: datetime, limit: int) -> int:
    """Delete some steps that ended before a moment, of invoices that are paid or void at Stripe; returns how many."""
    old = (
        select(StripeStep.id)
        .join(StripeInvoice, StripeInvoice.invoice_id == StripeStep.invoice_id)
        .where(StripeInvoice.status.in_(OVER), StripeInvoice.settled, StripeStep.kind.in_(FORGOTTEN))
        .where(StripeStep.state != StepState.WAITING.value, StripeStep.ended_at < before)
        .limit(limit)
    )
    deleted = await work.session.execute(delete(StripeStep).where(StripeStep.id.in_(old)).returning(StripeStep.id))
    return len(deleted.all())

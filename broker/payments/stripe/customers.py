"""Customers whose invoices Stripe collects: said by finance, known to Stripe with the first invoice."""

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert

from broker import errors
from broker.identity import service as identity
from broker.payments.stripe.model import StepKind, StepState
from broker.payments.stripe.tables import StripeCustomer, StripeStep
from broker.persistence.database import narrow
from broker.work import Work


async def set_collection(work: Work, customer_id: str, *, collects: bool, email: str | None) -> StripeCustomer:
    """Say whether Stripe collects a customer's invoices from now on, and to which address it may write.

    What it was asked for already stays there. A customer that Stripe refused is told to it once more.
    Raises: NotFound.
    """
    await identity.get_customer(work, customer_id)
    known = await work.session.get(StripeCustomer, customer_id, with_for_update=True)
    before = {} if known is None else {"collects": known.collects, "email": known.email}
    said = {"collects": collects, "email": email, "changed_at": work.now}
    new = insert(StripeCustomer).values(customer_id=customer_id, created_at=work.now, **said)
    await work.session.execute(new.on_conflict_do_update(index_elements=[StripeCustomer.customer_id], set_=said))
    refused = update(StripeStep).where(
        StripeStep.object_id == customer_id,
        StripeStep.kind == StepKind.CUSTOMER.value,
        StripeStep.state == StepState.REFUSED.value,
    )
    await work.session.execute(refused.values(state=StepState.DROPPED.value))
    work.note_change("stripe_collection", customer_id, before, {"collects": collects, "email": email})
    return await work.session.get_one(StripeCustomer, customer_id, populate_existing=True)


async def get_collection(work: Work, customer_id: str) -> StripeCustomer:
    """Get how a customer's invoices are collected by Stripe. Raises: NotFound, also where nothing was said of it."""
    row = await work.session.get(StripeCustomer, customer_id)
    if row is None:
        raise errors.NotFound("collection by Stripe of customer", customer_id)
    return row


def select_collections(**wanted: str | None) -> Select[StripeCustomer]:
    """Select the customers that the actor sees of which it was said whether Stripe collects."""
    return narrow(select(StripeCustomer), **wanted)

"""What Stripe collects: whose invoices, how far each is, and every difference from our books."""

from typing import Annotated

import stripe
from fastapi import Query

from broker import errors
from broker.http.edge import BillingReader, FinanceCaller, FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfCustomer, Order, Page
from broker.payments.stripe.client import describe_error, open_access
from broker.payments.stripe.customers import get_collection, select_collections, set_collection
from broker.payments.stripe.invoices import get_stripe_invoice, select_stripe_invoices
from broker.payments.stripe.model import StripeStatus
from broker.payments.stripe.reconciling import find_reconciled_at, list_differences, read_stripe, reconcile
from broker.payments.stripe.retrying import retry_invoice
from broker.payments.stripe.schemas import (
    StripeCustomerIn,
    StripeCustomerOut,
    StripeInvoiceOut,
    StripeInvoiceWithStepsOut,
    StripeReconciliationOut,
)
from broker.payments.stripe.steps import list_steps
from broker.payments.stripe.tables import StripeCustomer, StripeInvoice
from broker.work import Work

router = feature_router("/stripe", "billing")


@router.get("/customers")
async def list_stripe_customers(work: FinanceWork, limit: Limit = 20, cursor: Cursor = None) -> Page[StripeCustomerOut]:
    """List the customers of which finance has said whether Stripe collects."""
    rows, after = await fetch_page(work.session, select_collections(), StripeCustomer, limit=limit, cursor=cursor)
    return Page(data=[StripeCustomerOut.of(row) for row in rows], next_cursor=after)


@router.get("/customers/{customer_id}")
async def get_stripe_customer(work: FinanceWork, customer_id: str) -> StripeCustomerOut:
    """Get whether Stripe collects a customer's invoices."""
    return StripeCustomerOut.of(await get_collection(work, customer_id))


@router.put("/customers/{customer_id}")
async def set_stripe_customer(work: FinanceWork, customer_id: str, body: StripeCustomerIn) -> StripeCustomerOut:
    """Have Stripe collect a customer's open and coming invoices, or no more of them; those at Stripe stay there."""
    return StripeCustomerOut.of(await set_collection(work, customer_id, collects=body.collects, email=body.email))


@router.get("/invoices")
async def list_stripe_invoices(
    work: BillingReader,
    customer_id: OfCustomer = None,
    status: Annotated[StripeStatus | None, Query(description="Only these.", examples=["open"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[StripeInvoiceOut]:
    """List the invoices that Stripe collects."""
    query = select_stripe_invoices(customer_id=customer_id, status=status)
    rows, after = await fetch_page(work.session, query, StripeInvoice, limit=limit, cursor=cursor, order=order)
    return Page(data=[StripeInvoiceOut.of(row) for row in rows], next_cursor=after)


@router.get("/invoices/{invoice_id}")
async def get_stripe_invoice_with_steps(work: BillingReader, invoice_id: str) -> StripeInvoiceWithStepsOut:
    """Get how far an invoice is at Stripe, with all that was asked of it there."""
    return await _with_steps(work, invoice_id)


@router.post("/invoices/{invoice_id}/retry")
async def retry_stripe_invoice(work: FinanceWork, invoice_id: str) -> StripeInvoiceWithStepsOut:
    """Try again what Stripe, or our own comparison of totals, has refused of an invoice."""
    await retry_invoice(work, invoice_id)
    return await _with_steps(work, invoice_id)


async def _with_steps(work: Work, invoice_id: str) -> StripeInvoiceWithStepsOut:
    row = await get_stripe_invoice(work, invoice_id)
    return StripeInvoiceWithStepsOut.with_steps(row, await list_steps(work, invoice_id))


@router.get("/reconciliation")
async def get_stripe_reconciliation(work: FinanceWork) -> StripeReconciliationOut:
    """Get every difference between our books and Stripe that the last comparison found."""
    return StripeReconciliationOut.of(await list_differences(work), await find_reconciled_at(work))


@router.post("/reconciliation")
async def reconcile_stripe(caller: FinanceCaller) -> StripeReconciliationOut:
    """Compare our books with Stripe now, as is done every day by itself."""
    access = open_access(caller.services.settings)
    if access is None:
        raise errors.IllegalTransition("Stripe is off: BROKER_STRIPE_API_KEY is not set.", status_before="off")
    try:
        there = await read_stripe(access, now=caller.services.now)
    except stripe.StripeError as error:
        raise errors.Busy(f"Stripe did not answer as it should: {describe_error(error)}") from error
    finally:
        access.close()
    work = await caller.begin()
    return StripeReconciliationOut.of(await reconcile(work, there), work.now)

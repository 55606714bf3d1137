"""What the page of refunds shows. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.payments.model import RefundMethod, RefundSource, RefundStatus
from broker.payments.refund_listing import RefundPage

STATES = {
    RefundStatus.REQUESTED: N_("To be sent"),
    RefundStatus.SENT: N_("Sent"),
    RefundStatus.CONFIRMED: N_("Arrived"),
    RefundStatus.FAILED: N_("Came back"),
}
SOURCES = {
    RefundSource.CREDIT: N_("out of the balance"),
    RefundSource.GRANT: N_("for hours given back"),
    RefundSource.PAYMENT: N_("a payment back to its payer"),
}
METHODS = {
    RefundMethod.BANK_TRANSFER: N_("by bank transfer"),
    RefundMethod.STRIPE: N_("by Stripe, which tells by itself how far it is"),
    RefundMethod.CUSTOMER_CREDIT: N_("to the balance"),
}
COLUMNS = (
    Column(N_("Asked for")),
    Column(N_("Customer")),
    Column(N_("To whom")),
    Column(N_("What for")),
    Column(N_("Amount"), is_number=True),
    Column(N_("How far it is")),
)


@dataclass(frozen=True)
class RefundsView:
    """A page of refunds with the names of their customers."""

    found: RefundPage
    customers: Mapping[str, str]
    listing: Listing

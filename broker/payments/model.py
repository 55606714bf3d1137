"""Payments and refunds: where money came from, what became of it, and the states of what goes back. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from pricing.money import Money


class PaymentSource(StrEnum):
    """Who told of the money: a statement of the bank, or a provider."""

    BANK_TRANSFER = "bank_transfer"
    STRIPE = "stripe"


class Outcome(StrEnum):
    """What became of a line of a statement, or of a provider's receipt.

    MATCHED pays exactly what is due; PARTIAL pays less, and the rest stays due; UNDER is short by no more than the
    bank's fee that is tolerated, and settles all; OVER pays more, and the rest is the customer's credit. UNMATCHED
    waits for finance. DUPLICATE was kept before; OUTGOING is money that went out; REJECTED is kept nowhere.
    """

    MATCHED = "matched"
    PARTIAL = "partial"
    OVER = "over"
    UNDER = "under"
    UNMATCHED = "unmatched"
    DUPLICATE = "duplicate"
    OUTGOING = "outgoing"
    REJECTED = "rejected"


class PaymentStatus(StrEnum):
    """Where the money of a payment is now: part of it or all unmatched, all of it matched, or all gone back."""

    UNMATCHED = "unmatched"
    PARTLY_MATCHED = "partly_matched"
    MATCHED = "matched"
    RETURNED = "returned"


class AllocationKind(StrEnum):
    """What a part of a payment is for: an invoice, or the customer's credit."""

    INVOICE = "invoice"
    CREDIT = "credit"


@dataclass(frozen=True)
class Payer:
    """Who paid, as the bank or the provider says it; empty: not told."""

    name: str = ""
    account: str = ""
    bank: str = ""


@dataclass(frozen=True)
class Receipt:
    """Money that came in on one of our accounts, under the serial number that the bank or the provider gave it.

    `invoice_ids`: a provider knows what it collected for; a bank only has the remark.
    """

    source: PaymentSource
    account: str
    serial: str
    amount: Money
    value_on: date
    payer: Payer = Payer()
    remark: str = ""
    invoice_ids: tuple[str, ...] = ()


class RefundMethod(StrEnum):
    """The way by which money goes back."""

    BANK_TRANSFER = "bank_transfer"
    STRIPE = "stripe"
    CUSTOMER_CREDIT = "customer_credit"


class RefundSource(StrEnum):
    """What a refund is paid out of: units that were refunded, a credit, or a payment that goes back to its payer."""

    GRANT = "grant"
    CREDIT = "credit"
    PAYMENT = "payment"


class RefundStatus(StrEnum):
    """Where a refund is: asked for, sent by the bank or the provider, arrived, or not."""

    REQUESTED = "requested"
    SENT = "sent"
    CONFIRMED = "confirmed"
    FAILED = "failed"


# A refund that failed is over: another one is requested, by another way or to another account. Banks and providers send
# money back also after they said that it arrived.
NEXT_STATUSES: Mapping[RefundStatus, frozenset[RefundStatus]] = {
    RefundStatus.REQUESTED: frozenset({RefundStatus.SENT, RefundStatus.FAILED}),
    RefundStatus.SENT: frozenset({RefundStatus.CONFIRMED, RefundStatus.FAILED}),
    RefundStatus.CONFIRMED: frozenset({RefundStatus.FAILED}),
    RefundStatus.FAILED: frozenset(),
}

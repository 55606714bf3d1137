"""To which payments at Stripe a refund goes back, and how much to each. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Refundable:
    """What is left of a payment that can go back to whoever paid it. Units: fen."""

    payment_intent: str
    left_fen: int


@dataclass(frozen=True)
class RefundPart:
    """What goes back to one payment. Units: fen."""

    payment_intent: str
    fen: int


def share_refund(fen: int, payments: Sequence[Refundable]) -> list[RefundPart] | None:
    """Share a refund among payments, in their order, each as far as it reaches; None where all are not enough."""
    parts: list[RefundPart] = []
    left = fen
    for payment in payments:
        share = min(left, payment.left_fen)
        if share > 0:
            parts.append(RefundPart(payment.payment_intent, share))
            left -= share
    return parts if left == 0 else None

"""The port of payment: what a way of paying must do. The manual one is the default, and needs nothing outside.

Money that comes in needs no method here: a statement and a provider's webhook both end in `record_receipts`.
"""

from typing import Protocol

from broker import errors
from broker.payments.model import RefundMethod
from broker.payments.tables import Refund
from broker.work import Work


class PaymentPort(Protocol):
    """A way by which money goes back to a customer."""

    async def send_refund(self, work: Work, refund: Refund) -> None:
        """See to it that a refund which was requested is sent, after this transaction.

        Nobody outside is asked here: a provider writes down what its relay asks after the commit, and then calls
        `mark_sent`, `confirm_refund` or `fail_refund`.
        """
        ...


class ManualTransfer:
    """Finance sends the money at the bank, and tells the broker its reference: nothing is to be done here."""

    async def send_refund(self, work: Work, refund: Refund) -> None:
        """Leave the refund in the list of those requested, where finance finds it."""


# Providers put themselves here where they are set up (`app.py`).
PORTS: dict[RefundMethod, PaymentPort] = {RefundMethod.BANK_TRANSFER: ManualTransfer()}


def find_port(method: RefundMethod) -> PaymentPort:
    """Find who sends money by a way. Raises: InvalidRequest, where that is not set up here."""
    port = PORTS.get(method)
    if port is None:
        raise errors.invalid_field("method", f"{method.value} is not set up here; {', '.join(PORTS)} is")
    return port

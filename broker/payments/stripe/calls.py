"""What each step asks of Stripe, and how it is found out whether that was done before. Runs in the client's thread.

Children are listed by their parent, which shows what was written at once; only customers have no parent and are
searched, which lags behind by up to a minute (`model.SEARCH_LAG`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import stripe

from broker.payments.stripe.keys import OUR_ID
from broker.payments.stripe.model import StepKind, StripeStatus

PAGE = 100
FINAL = {StripeStatus.OPEN, StripeStatus.PAID}
MISSING = "resource_missing"


@dataclass(frozen=True)
class Sending:
    """A step that is sent: `target` is the object at Stripe that it changes or hangs on, `body` what is said of it."""

    kind: StepKind
    our_id: str
    target: str
    body: dict[str, Any]
    key: str
    looks_first: bool


class Mismatch(Exception):
    """Stripe's draft does not say what we sent, so it is not finalized."""


def send_step(client: stripe.StripeClient, sending: Sending) -> str:
    """Have a step done, unless it was before; returns the id of what it made or changed.

    Raises: stripe.StripeError, Mismatch.
    """
    if sending.looks_first or sending.kind == StepKind.FINALIZE:
        found = LOOK[sending.kind](client, sending)
        if found is not None:
            return found
    return SEND[sending.kind](client, sending)


def fetch_invoice(client: stripe.StripeClient, stripe_id: str) -> stripe.Invoice:
    return client.v1.invoices.retrieve(stripe_id)


def list_payments(client: stripe.StripeClient, stripe_id: str) -> list[stripe.InvoicePayment]:
    """List what was paid of an invoice at Stripe; what is paid twice is there twice."""
    found = client.v1.invoice_payments.list({"invoice": stripe_id, "status": "paid", "limit": PAGE})
    return list(found.auto_paging_iter())


def read_our_id(metadata: stripe.StripeObject | None) -> str | None:
    """Read from the metadata of Stripe's object which one of ours it is."""
    return str(metadata[OUR_ID]) if metadata is not None and OUR_ID in metadata else None


def _find_ours(found: Iterable[Any], our_id: str) -> str | None:
    for each in found:
        if read_our_id(each.metadata) == our_id:
            return str(each.id)
    return None


def _look_for_customer(client: stripe.StripeClient, sending: Sending) -> str | None:
    query = f"metadata['{OUR_ID}']:'{sending.our_id}'"
    return _find_ours(client.v1.customers.search({"query": query}).data, sending.our_id)


def _look_for_invoice(client: stripe.StripeClient, sending: Sending) -> str | None:
    found = client.v1.invoices.list({"customer": sending.body["customer"], "limit": PAGE})
    return _find_ours(found.auto_paging_iter(), sending.our_id)


def _look_for_credit_note(client: stripe.StripeClient, sending: Sending) -> str | None:
    found = client.v1.credit_notes.list({"invoice": sending.target, "limit": PAGE})
    return _find_ours(found.auto_paging_iter(), sending.body["metadata"][OUR_ID])


def _look_for_refund(client: stripe.StripeClient, sending: Sending) -> str | None:
    found = client.v1.refunds.list({"payment_intent": sending.body["payment_intent"], "limit": PAGE})
    return _find_ours(found.auto_paging_iter(), sending.body["metadata"][OUR_ID])


def _look_for_lines(client: stripe.StripeClient, sending: Sending) -> str | None:
    """All lines are sent in one request: where one is, all are."""
    invoice = fetch_invoice(client, sending.target)
    return sending.target if invoice.lines.data else None


def _look_whether_final(client: stripe.StripeClient, sending: Sending) -> str | None:
    """Tell of an invoice that is final already; a draft must say to the fen what we sent. Raises: Mismatch."""
    invoice = fetch_invoice(client, sending.target)
    if invoice.status in FINAL:
        return sending.target
    faults = [
        f"{name} is {getattr(invoice, name)} there and {sent} here"
        for name, sent in sending.body.items()
        if getattr(invoice, name) != sent
    ]
    if faults:
        raise Mismatch("not finalized: " + "; ".join(faults))
    return None


def _look_for_status(*wanted: StripeStatus) -> "Look":
    def look(client: stripe.StripeClient, sending: Sending) -> str | None:
        return sending.target if fetch_invoice(client, sending.target).status in wanted else None

    return look


def _create_customer(client: stripe.StripeClient, sending: Sending) -> str:
    return client.v1.customers.create(_of(sending), _once(sending)).id


def _create_invoice(client: stripe.StripeClient, sending: Sending) -> str:
    return client.v1.invoices.create(_of(sending), _once(sending)).id


def _add_lines(client: stripe.StripeClient, sending: Sending) -> str:
    client.v1.invoices.add_lines(sending.target, _of(sending), _once(sending))
    return sending.target


def _finalize(client: stripe.StripeClient, sending: Sending) -> str:
    client.v1.invoices.finalize_invoice(sending.target, {"auto_advance": False}, _once(sending))
    return sending.target


def _create_credit_note(client: stripe.StripeClient, sending: Sending) -> str:
    return client.v1.credit_notes.create(_of(sending), _once(sending)).id


def _delete_draft(client: stripe.StripeClient, sending: Sending) -> str:
    try:
        client.v1.invoices.delete(sending.target)
    except stripe.InvalidRequestError as error:
        if error.code != MISSING:
            raise
    return sending.target


def _void(client: stripe.StripeClient, sending: Sending) -> str:
    client.v1.invoices.void_invoice(sending.target, {}, _once(sending))
    return sending.target


def _settle(client: stripe.StripeClient, sending: Sending) -> str:
    client.v1.invoices.pay(sending.target, {"paid_out_of_band": True}, _once(sending))
    return sending.target


def _refund(client: stripe.StripeClient, sending: Sending) -> str:
    return client.v1.refunds.create(_of(sending), _once(sending)).id


def _of(sending: Sending) -> Any:
    return sending.body


def _once(sending: Sending) -> Any:
    return {"idempotency_key": sending.key}


def _look_for_nothing(_client: stripe.StripeClient, _sending: Sending) -> None:
    """Look for nothing: a draft that is gone already is told by the deletion itself."""


Look = Callable[[stripe.StripeClient, Sending], str | None]
LOOK: dict[StepKind, Look] = {
    StepKind.CUSTOMER: _look_for_customer,
    StepKind.INVOICE: _look_for_invoice,
    StepKind.LINES: _look_for_lines,
    StepKind.FINALIZE: _look_whether_final,
    StepKind.CREDIT_NOTE: _look_for_credit_note,
    StepKind.REDUCE: _look_for_credit_note,
    StepKind.DELETE: _look_for_nothing,
    StepKind.VOID: _look_for_status(StripeStatus.VOID),
    StepKind.SETTLE: _look_for_status(StripeStatus.PAID),
    StepKind.REFUND: _look_for_refund,
}
SEND: dict[StepKind, Callable[[stripe.StripeClient, Sending], str]] = {
    StepKind.CUSTOMER: _create_customer,
    StepKind.INVOICE: _create_invoice,
    StepKind.LINES: _add_lines,
    StepKind.FINALIZE: _finalize,
    StepKind.CREDIT_NOTE: _create_credit_note,
    StepKind.REDUCE: _create_credit_note,
    StepKind.DELETE: _delete_draft,
    StepKind.VOID: _void,
    StepKind.SETTLE: _settle,
    StepKind.REFUND: _refund,
}

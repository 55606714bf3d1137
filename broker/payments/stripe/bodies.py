"""What is sent with each step, made when the step is written: the same bytes every time that it is sent. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from broker.payments.stripe.keys import OUR_ID
from broker.payments.stripe.lines import SentLines

CURRENCY = "cny"
Body = dict[str, Any]


@dataclass(frozen=True)
class SentInvoice:
    """What Stripe is told of an invoice beside its lines. `job_list_url`: where its customer finds all of its jobs."""

    our_id: str
    number: str
    customer: str
    due_on: date
    time_zone: str
    contract_number: str
    purchase_order: str | None


def make_customer(customer_id: str, name: str, email: str | None) -> Body:
    """Make what Stripe is told of a customer: its name, and where it may be written to."""
    body: Body = {"name": name, "metadata": {OUR_ID: customer_id}}
    return body if email is None else body | {"email": email}


def make_invoice(sent: SentInvoice, job_list_url: str | None, *, now: datetime) -> Body:
    """Make a draft that Stripe neither finalizes nor collects by itself, nor fills with what else it has."""
    body: Body = {
        "customer": sent.customer,
        "currency": CURRENCY,
        "auto_advance": False,
        "collection_method": "send_invoice",
        "pending_invoice_items_behavior": "exclude",
        "due_date": find_due_moment(sent, now=now),
        "number": sent.number,
        "metadata": {OUR_ID: sent.our_id, "number": sent.number},
        "custom_fields": _make_fields(sent),
    }
    return body if job_list_url is None else body | {"footer": f"Every job of this invoice: {job_list_url}"}


def find_due_moment(sent: SentInvoice, *, now: datetime) -> int:
    """Find the last second of the day on which it is due; Stripe takes none that is over. Units: Unix seconds."""
    day_after = datetime.combine(sent.due_on + timedelta(days=1), time.min, tzinfo=ZoneInfo(sent.time_zone))
    return max(int(day_after.timestamp()) - 1, int((now + timedelta(hours=1)).timestamp()))


def _make_fields(sent: SentInvoice) -> list[dict[str, str]]:
    fields = {"Contract": sent.contract_number, "Purchase order": sent.purchase_order}
    return [{"name": name, "value": value[:140]} for name, value in fields.items() if value]


def make_lines(lines: SentLines) -> Body:
    return {"lines": [line.to_params() for line in lines.lines]}


def make_expectation(customer: str, asked_fen: int) -> Body:
    """Make what the draft must say before it is finalized. Credit that Stripe would use up makes less of it due."""
    return {"customer": customer, "currency": CURRENCY, "total": asked_fen, "amount_due": asked_fen}


@dataclass(frozen=True)
class Taken:
    """What is taken off an invoice that Stripe asks for. Units: fen; `outside_fen` of it was not asked for there.

    `our_id` is that of our credit note, or of the step where the rest was paid by another way.
    """

    our_id: str
    title: str
    fen: int
    outside_fen: int


def make_credit_note(stripe_id: str, taken: Taken) -> Body:
    """Make a credit note: what of it was paid already is credited in our books, never as a balance at Stripe."""
    line = {"type": "custom_line_item", "description": taken.title, "quantity": 1, "unit_amount": taken.fen}
    body: Body = {"invoice": stripe_id, "lines": [line], "memo": taken.title, "metadata": {OUR_ID: taken.our_id}}
    return body if not taken.outside_fen else body | {"out_of_band_amount": taken.outside_fen}


def make_refund(refund_id: str, payment_intent: str, fen: int) -> Body:
    return {"payment_intent": payment_intent, "amount": fen, "metadata": {OUR_ID: refund_id}}

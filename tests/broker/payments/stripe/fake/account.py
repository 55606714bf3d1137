"""An account at the fake Stripe: customers, invoices, payments, credit notes, refunds, and the events that each makes.

What it does is what Stripe's documents say: drafts change, final invoices do not; credit at Stripe makes less due; what
is paid twice becomes credit there; a void invoice cannot be paid.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

ACCOUNT_ID = "acct_test1"
SEARCH_LAG = timedelta(seconds=60)
Body = dict[str, Any]


class Refused(Exception):
    """What Stripe would not do, with its status and code."""

    def __init__(self, message: str, code: str = "invalid_request", status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass
class Account:
    """All that the account has, by id. `moment` is its clock, in the test's hands."""

    moment: Callable[[], datetime]
    customers: dict[str, Body] = field(default_factory=dict)
    invoices: dict[str, Body] = field(default_factory=dict)
    credit_notes: dict[str, Body] = field(default_factory=dict)
    payments: dict[str, Body] = field(default_factory=dict)
    refunds: dict[str, Body] = field(default_factory=dict)
    disputes: dict[str, Body] = field(default_factory=dict)
    events: list[Body] = field(default_factory=list)
    refund_status: str = "succeeded"
    counter: Any = field(default_factory=lambda: count(1))

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self.counter):06}"

    @property
    def now(self) -> int:
        return int(self.moment().timestamp())

    def tell(self, kind: str, about: Body) -> None:
        """Make an event; who delivers it, when and how often is for the test to say."""
        told = {"object": {"id": about["id"], "object": about["object"]}}
        event = {"id": self.new_id("evt"), "object": "event", "type": kind, "created": self.now, "livemode": False}
        self.events.append(event | {"api_version": None, "data": told})

    # Customers.
    def create_customer(self, params: Body) -> Body:
        made = {"id": self.new_id("cus"), "object": "customer", "balance": 0, "created": self.now, "metadata": {}}
        self.customers[made["id"]] = made | params
        return self.customers[made["id"]]

    def search_customers(self, query: str) -> list[Body]:
        """Find by metadata, but not what was made within the last minute."""
        name, _, value = query.removeprefix("metadata['").removesuffix("'").partition("']:'")
        old = self.now - SEARCH_LAG.total_seconds()
        return [
            each for each in self.customers.values() if each["metadata"].get(name) == value and each["created"] < old
        ]

    # Invoices.
    def create_invoice(self, params: Body) -> Body:
        if params.get("customer") not in self.customers:
            raise Refused("No such customer", "resource_missing")
        if any(each.get("number") == params.get("number") for each in self.invoices.values()):
            raise Refused("An invoice with this number exists", "invoice_number_taken")
        made = {
            "id": self.new_id("in"),
            "object": "invoice",
            "status": "draft",
            "created": self.now,
            "lines": {"object": "list", "data": [], "has_more": False},
            "amount_paid": 0,
            "amount_overpaid": 0,
            "pre_payment_credit_notes_amount": 0,
            "post_payment_credit_notes_amount": 0,
            "hosted_invoice_url": None,
            "metadata": {},
            "paid_out_of_band": False,
        }
        self.invoices[made["id"]] = made | params
        return self.recount(made["id"])

    def get_invoice(self, invoice_id: str) -> Body:
        if invoice_id not in self.invoices:
            raise Refused(f"No such invoice: {invoice_id}", "resource_missing", 404)
        return self.invoices[invoice_id]

    def recount(self, invoice_id: str) -> Body:
        invoice = self.invoices[invoice_id]
        invoice["total"] = sum(line["amount"] for line in invoice["lines"]["data"])
        if invoice["status"] == "draft":
            invoice["starting_balance"] = self.customers[invoice["customer"]]["balance"]
        asked = invoice["total"] + invoice["starting_balance"] - invoice["pre_payment_credit_notes_amount"]
        invoice["amount_due"] = max(0, asked)
        invoice["amount_remaining"] = 0 if invoice["status"] == "void" else max(0, asked - invoice["amount_paid"])
        return invoice

    def add_lines(self, invoice_id: str, lines: list[Body]) -> Body:
        invoice = self.require(invoice_id, "draft")
        if len(invoice["lines"]["data"]) + len(lines) > 250:
            raise Refused("An invoice has at most 250 lines", "invoice_too_many_lines")
        made = [
            {"id": self.new_id("il"), "object": "line_item", "currency": invoice["currency"], **line} for line in lines
        ]
        invoice["lines"]["data"] += made
        return self.recount(invoice_id)

    def require(self, invoice_id: str, *states: str) -> Body:
        invoice = self.get_invoice(invoice_id)
        if invoice["status"] not in states:
            raise Refused(f"This invoice is {invoice['status']}", "invoice_not_editable")
        return invoice

    def finalize(self, invoice_id: str) -> Body:
        invoice = self.require(invoice_id, "draft")
        invoice["status"], invoice["hosted_invoice_url"] = "open", f"https://invoice.example/{invoice_id}"
        self.tell("invoice.finalized", invoice)
        return self.close_if_paid(invoice_id)

    def close_if_paid(self, invoice_id: str) -> Body:
        invoice = self.recount(invoice_id)
        if invoice["status"] == "open" and not invoice["amount_remaining"]:
            invoice["status"] = "paid"
            self.tell("invoice.paid", invoice)
        return invoice

    def delete(self, invoice_id: str) -> Body:
        self.require(invoice_id, "draft")
        del self.invoices[invoice_id]
        return {"id": invoice_id, "object": "invoice", "deleted": True}

    def void(self, invoice_id: str) -> Body:
        invoice = self.require(invoice_id, "open", "uncollectible")
        invoice["status"] = "void"
        self.tell("invoice.voided", invoice)
        return self.recount(invoice_id)

    def settle(self, invoice_id: str) -> Body:
        invoice = self.require(invoice_id, "open")
        invoice["paid_out_of_band"], invoice["amount_paid"] = True, invoice["amount_due"]
        return self.close_if_paid(invoice_id)

    def pay(self, invoice_id: str, fen: int | None = None) -> Body:
        """Pay on the hosted page: as often as somebody does, also where it was paid before."""
        invoice = self.require(invoice_id, "open", "paid")
        amount = fen if fen is not None else invoice["amount_remaining"] or invoice["total"]
        fits = min(amount, invoice["amount_remaining"])
        invoice["amount_paid"] += fits
        invoice["amount_overpaid"] += amount - fits
        self.customers[invoice["customer"]]["balance"] -= amount - fits
        made = {
            "id": self.new_id("inpay"),
            "object": "invoice_payment",
            "invoice": invoice_id,
            "amount_paid": amount,
            "currency": invoice["currency"],
            "status": "paid",
            "created": self.now,
            "payment": {"type": "payment_intent", "payment_intent": self.new_id("pi")},
            "status_transitions": {"paid_at": self.now},
        }
        self.payments[made["id"]] = made
        self.tell("payment_intent.succeeded", {"id": made["payment"]["payment_intent"], "object": "payment_intent"})
        self.tell("invoice_payment.paid", made)
        self.close_if_paid(invoice_id)
        self.tell("invoice.payment_succeeded", invoice)
        return made

    # What goes back.
    def create_credit_note(self, params: Body) -> Body:
        invoice = self.require(params["invoice"], "open", "paid")
        total = sum(line["unit_amount"] * line["quantity"] for line in params["lines"])
        before = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
        if total > invoice["total"] - before:
            raise Refused("The credit note is above its invoice", "credit_note_amount_too_large")
        post = total - min(total, invoice["amount_remaining"])
        if params.get("out_of_band_amount", 0) + params.get("credit_amount", 0) != post:
            raise Refused("The amounts do not add up to what was paid already", "credit_note_amounts_wrong")
        invoice["pre_payment_credit_notes_amount"] += total - post
        invoice["post_payment_credit_notes_amount"] += post
        made = {"id": self.new_id("cn"), "object": "credit_note", "total": total, "created": self.now, "metadata": {}}
        self.credit_notes[made["id"]] = made | params
        self.tell("credit_note.created", made)
        self.close_if_paid(params["invoice"])
        return self.credit_notes[made["id"]]

    def create_refund(self, params: Body) -> Body:
        intent = params["payment_intent"]
        paid = sum(
            each["amount_paid"] for each in self.payments.values() if intent == each["payment"]["payment_intent"]
        )
        stands = (each for each in self.refunds.values() if each["status"] not in {"failed", "canceled"})
        back = sum(each["amount"] for each in stands if each["payment_intent"] == intent)
        if params["amount"] > paid - back:
            raise Refused("The refund is above what is left of the charge", "charge_already_refunded")
        made = {"id": self.new_id("re"), "object": "refund", "status": self.refund_status, "created": self.now}
        self.refunds[made["id"]] = made | {"metadata": {}, "currency": "cny", "failure_reason": None} | params
        self.tell("refund.created", made)
        return self.refunds[made["id"]]

    def end_refund(self, refund_id: str, status: str) -> None:
        """Have the bank of whoever paid say what became of a refund."""
        self.refunds[refund_id] |= {"status": status, "failure_reason": "declined" if status == "failed" else None}
        self.tell("refund.updated", self.refunds[refund_id])

    def dispute(self, payment_intent: str, fen: int, status: str = "needs_response") -> Body:
        made = {"id": self.new_id("dp"), "object": "dispute", "status": status, "amount": fen, "currency": "cny"}
        made |= {"payment_intent": payment_intent, "reason": "fraudulent", "created": self.now, "metadata": {}}
        made |= {"evidence_details": {"due_by": self.now + 7 * 86_400}}
        self.disputes[made["id"]] = made
        self.tell("charge.dispute.created", made)
        return made

    def end_dispute(self, dispute_id: str, status: str) -> None:
        self.disputes[dispute_id]["status"] = status
        self.tell("charge.dispute.closed", self.disputes[dispute_id])

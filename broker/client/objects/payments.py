"""Payments, what they are allocated to, refunds and disputes."""

from typing import Literal, TypedDict

from broker.client.objects.values import Money


class Allocation(TypedDict):
    """A part of a payment that pays an invoice, or is a credit; undone, it is kept."""

    id: str
    kind: Literal["invoice", "credit"]
    customer_id: str
    contract_id: str
    invoice_id: str | None
    amount: Money
    fee: Money
    automatic: bool
    author: str
    created_at: str
    undone_at: str | None
    undone_by: str | None
    undone_reason: str | None


class Payment(TypedDict):
    """Money that came in, and how much of it has found its place."""

    id: str
    customer_id: str | None
    status: Literal["unmatched", "partly_matched", "matched", "returned"]
    source: str
    account: str
    serial: str
    value_on: str
    amount: Money
    allocated: Money
    returned: Money
    unmatched: Money
    payer_name: str
    payer_account: str
    payer_bank: str
    remark: str
    outcome: str
    reason: str
    candidates: list[str]
    author: str
    created_at: str


class PaymentDetail(Payment):
    """A payment with all its allocations."""

    allocations: list[Allocation]


class ImportedLine(TypedDict):
    """What became of a line of a statement."""

    line: int
    serial: str
    outcome: str
    reason: str
    payment_id: str | None
    invoice_ids: list[str]


class PaymentImport(TypedDict):
    """What became of a statement."""

    layout: str | None
    counts: dict[str, int]
    received: Money
    lines: list[ImportedLine]


class Refund(TypedDict):
    """Money that goes back, by which way, and how far it is."""

    id: str
    customer_id: str | None
    contract_id: str | None
    payment_id: str | None
    taken_from: Literal["grant", "credit", "payment"]
    method: Literal["bank_transfer", "stripe", "customer_credit"]
    status: Literal["requested", "sent", "confirmed", "failed"]
    amount: Money
    payee_name: str
    payee_account: str
    payee_bank: str
    reason: str
    author: str
    created_at: str
    sent_by: str | None
    sent_at: str | None
    bank_reference: str | None
    ended_by: str | None
    ended_at: str | None
    failure: str | None
    came_back_id: str | None


class Dispute(TypedDict):
    """A line that its customer does not accept, or a payment that the payer's bank takes back."""

    id: str
    customer_id: str
    contract_id: str
    invoice_id: str
    kind: Literal["line", "chargeback"]
    position: int | None
    payment_id: str | None
    case_number: str | None
    status: Literal["opened", "answered", "won", "lost", "withdrawn"]
    amount: Money
    gross: Money
    reason: str
    author: str
    created_at: str
    answer: str | None
    answered_at: str | None
    remedy: str | None
    remedy_id: str | None
    ended_at: str | None

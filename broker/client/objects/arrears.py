"""How customers stand with paying, whom they want told, and what these were told."""

from typing import Any, Literal, TypedDict

from broker.client.objects.values import Money

ArrearsState = Literal["current", "grace", "suspended", "retention", "closed"]


class Debt(TypedDict):
    """What is overdue: an invoice with the reference of its transfer, or money below zero."""

    kind: Literal["overdue_invoice", "balance_below_zero"]
    object_id: str
    number: str | None
    reference: str | None
    amount: Money
    disputed: Money
    since: str


class Arrears(TypedDict):
    """How a contract stands, and what it may do."""

    id: str | None
    contract_id: str
    customer_id: str
    state: ArrearsState
    since: str | None
    until: str | None
    owed: Money
    debts: list[Debt]
    deletion_on: str | None
    allowed: dict[str, Any]


class ArrearsChange(TypedDict):
    """That a contract came from one state into another."""

    before: ArrearsState
    after: ArrearsState
    owed: Money
    created_at: str


class ArrearsExtension(TypedDict):
    """Days that finance has given."""

    id: str
    kind: Literal["promise_to_pay", "extension", "shortened"]
    first: str
    until: str
    reason: str


class ArrearsWithHistory(Arrears):
    """The same with how it came there."""

    history: list[ArrearsChange]
    extensions: list[ArrearsExtension]


class PayTo(TypedDict):
    """Whom to pay, and by which references."""

    name: str
    bank: str
    account: str
    references: list[str]


class CustomerArrears(TypedDict):
    """How a customer stands: as the worst of its contracts."""

    customer_id: str
    state: ArrearsState
    owed: Money
    pay_to: PayTo
    contracts: list[ArrearsWithHistory]


class NoticeContact(TypedDict):
    """Somebody whom a customer wants told."""

    id: str
    name: str
    channel: Literal["mail", "chat"]
    shown: str
    language: Literal["zh", "en"]


class SentNotice(TypedDict):
    """What a contact is told, and whether it was sent."""

    id: str
    contact_id: str
    kind: str
    title: str
    body: str
    status: Literal["pending", "sent", "failed"]
    attempts: int
    last_error: str | None

"""API shapes of what Stripe collects."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from broker.http.plain_text import PlainText
from broker.http.shapes import MoneyOut, RequestBody, created_at_field, read_fields
from broker.payments.stripe.comparing import DifferenceKind
from broker.payments.stripe.model import StepKind, StepState, StripeStatus
from broker.payments.stripe.tables import StripeCustomer, StripeDifference, StripeInvoice, StripeStep
from pricing.money import MICROS_PER_FEN

EMAIL_PATTERN = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


class StripeCustomerIn(RequestBody):
    collects: bool = Field(description="Whether Stripe collects this customer's invoices.", examples=[True])
    email: Annotated[PlainText, Field(min_length=3, max_length=254, pattern=EMAIL_PATTERN)] | None = Field(
        default=None, description="Where Stripe may write to; unset: nowhere.", examples=["ap@tea.example"]
    )


class StripeCustomerOut(BaseModel):
    object: Literal["stripe_customer"] = Field(
        default="stripe_customer", description="Kind of object.", examples=["stripe_customer"]
    )
    customer_id: str = Field(description="The customer.", examples=["cus_01k"])
    collects: bool = Field(description="Whether Stripe collects its invoices.", examples=[True])
    email: str | None = Field(description="Where Stripe may write to.", examples=["ap@tea.example"])
    stripe_id: str | None = Field(
        description="The customer at Stripe; null until its first invoice is sent.", examples=["cus_NffrFeUfNV2Hib"]
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: StripeCustomer) -> "StripeCustomerOut":
        return cls.model_validate(read_fields(cls, row))


class StripeInvoiceOut(BaseModel):
    object: Literal["stripe_invoice"] = Field(
        default="stripe_invoice", description="Kind of object.", examples=["stripe_invoice"]
    )
    invoice_id: str = Field(description="Our invoice.", examples=["inv_01k"])
    customer_id: str = Field(description="Who pays.", examples=["cus_01k"])
    stripe_id: str | None = Field(description="The invoice at Stripe.", examples=["in_1MtHbELkdIwHu7ix"])
    status: StripeStatus = Field(
        description="What it is at Stripe, by its last answer; none: it was not made there yet.", examples=["open"]
    )
    asked: MoneyOut = Field(
        description="What its lines there add up to.", examples=[{"amount": "4200.00", "currency": "CNY"}]
    )
    remaining: MoneyOut = Field(
        description="What Stripe still asks for.", examples=[{"amount": "4200.00", "currency": "CNY"}]
    )
    is_summary: bool = Field(
        description="One line for each rate segment, since Stripe takes 250 lines at most; a link there leads to all "
        "jobs.",
        examples=[False],
    )
    hosted_url: str | None = Field(
        description="Where the customer pays.", examples=["https://invoice.stripe.com/i/acct_1/test_1"]
    )
    settled: bool = Field(description="Stripe has what our books want; nothing is under way.", examples=[True])
    problem: str | None = Field(
        description="Why it stands still; mend that, then retry it.",
        examples=["not finalized: amount_due is 400000 there and 420000 here"],
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: StripeInvoice) -> "StripeInvoiceOut":
        own = read_fields(cls, row)
        own["asked"] = MoneyOut.of_micros(row.asked_fen * MICROS_PER_FEN)
        own["remaining"] = MoneyOut.of_micros(row.remaining_fen * MICROS_PER_FEN)
        return cls.model_validate(own)


class StripeStepOut(BaseModel):
    step: str = Field(description="Which one of its object.", examples=["finalize"])
    kind: StepKind = Field(description="What is asked of Stripe.", examples=["finalize"])
    state: StepState = Field(description="Whether it was done.", examples=["done"])
    stripe_id: str | None = Field(description="What it made or changed at Stripe.", examples=["in_1MtHbELkdIwHu7ix"])
    failures: int = Field(description="How often there was no good answer.", examples=[0])
    last_error: str | None = Field(description="The last answer that was none.", examples=["RateLimitError"])
    not_before: datetime = Field(description="When it is sent next (UTC).", examples=["2026-12-01T02:00:00Z"])
    ended_at: datetime | None = Field(description="When it ended (UTC).", examples=["2026-12-01T02:00:01Z"])

    @classmethod
    def of(cls, row: StripeStep) -> "StripeStepOut":
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


class StripeInvoiceWithStepsOut(StripeInvoiceOut):
    steps: list[StripeStepOut] = Field(description="What was asked of Stripe, in its order.", examples=[[]])

    @classmethod
    def with_steps(cls, row: StripeInvoice, steps: Sequence[StripeStep]) -> "StripeInvoiceWithStepsOut":
        return cls(**StripeInvoiceOut.of(row).model_dump(), steps=[StripeStepOut.of(step) for step in steps])


class StripeDifferenceOut(BaseModel):
    kind: DifferenceKind = Field(description="In what they differ.", examples=["paid"])
    invoice_id: str | None = Field(description="Our invoice.", examples=["inv_01k"])
    stripe_id: str | None = Field(description="The object at Stripe.", examples=["in_1MtHbELkdIwHu7ix"])
    ours: str = Field(description="What our books say.", examples=["0.00"])
    theirs: str = Field(description="What Stripe says.", examples=["4200.00"])
    cure: str = Field(description="What to do.", examples=["it is fetched again now"])

    @classmethod
    def of(cls, row: StripeDifference) -> "StripeDifferenceOut":
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


class StripeReconciliationOut(BaseModel):
    object: Literal["stripe_reconciliation"] = Field(
        default="stripe_reconciliation", description="Kind of object.", examples=["stripe_reconciliation"]
    )
    reconciled_at: datetime | None = Field(
        description="When our books and Stripe were last compared (UTC); null: never.",
        examples=["2026-12-01T19:30:00Z"],
    )
    data: list[StripeDifferenceOut] = Field(description="Every difference that was found then.", examples=[[]])

    @classmethod
    def of(cls, rows: Sequence[StripeDifference], reconciled_at: datetime | None) -> "StripeReconciliationOut":
        return cls(reconciled_at=reconciled_at, data=[StripeDifferenceOut.of(row) for row in rows])


class EventReceiptOut(BaseModel):
    received: Literal[True] = Field(default=True, description="The event is kept.", examples=[True])

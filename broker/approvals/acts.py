"""The acts that can be proposed: each reads the body of its own route, and is carried out by its own room's service."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from broker.billing import adjustments, credit_notes, voiding
from broker.billing.adjustment_schemas import AdjustmentIn
from broker.billing.adjustments import CreditAdjustment, GrantAdjustment
from broker.billing.credit_note_schemas import CreditNoteIn
from broker.billing.dispute_model import Remedy
from broker.contracts import service as contracts
from broker.contracts.terms.model import GrantTerms
from broker.http.shapes import Reason, RequestBody
from broker.payments import chargebacks
from broker.payments import refunds as payments
from broker.payments.refund_schemas import RefundIn
from broker.signing import grants, refunds
from broker.signing.grant_schemas import GrantIn
from broker.work import Work
from pricing.money import Money, round_to_fen
from pricing.rating import price_usage
from pricing.usage import Unit


@dataclass(frozen=True)
class Outcome:
    """What an act made, of which customer, about what, and the money that it comes to: above zero."""

    result_id: str
    customer_id: str
    subject_id: str
    amount: Money


@dataclass(frozen=True)
class Act:
    """How an act reads its body, and how it is carried out."""

    shape: type[RequestBody]
    carry_out: Callable[[Work, Any], Awaitable[Outcome]]


class DisputeLossIn(RequestBody):
    """Which dispute is ended against the house, and what follows, as `POST /v1/disputes/{id}/lose` does."""

    dispute_id: str = Field(description="The dispute.", examples=["dsp_01k"])
    remedy: Remedy | None = Field(default=None, description="As the route has it.", examples=["credit_note"])
    reason: Reason


class GrantRefundIn(RequestBody):
    """What of a grant's unused hours is refunded: all of it, as `POST /v1/grants/{id}/refund` does."""

    grant_id: str = Field(description="The grant.", examples=["gra_01k"])
    reason: Reason


class GrantToVoidIn(RequestBody):
    """Which grant is made void, as `POST /v1/grants/{id}/void` does."""

    grant_id: str = Field(description="The active grant.", examples=["gra_01k"])
    reason: Reason


class InvoiceToVoidIn(RequestBody):
    """Which invoice is made void, as `POST /v1/invoices/{id}/void` does."""

    invoice_id: str = Field(description="The final invoice.", examples=["inv_01k"])
    reason: Reason


async def _adjust(work: Work, body: AdjustmentIn) -> Outcome:
    new = body.read_adjustment()
    if isinstance(new, GrantAdjustment):
        row = await adjustments.adjust_grant(work, new)
        grant = await contracts.get_grant(work, new.grant_id)
        return Outcome(row.id, row.customer_id, grant.id, _price(grant, abs(row.quantity)))
    if isinstance(new, CreditAdjustment):
        row = await adjustments.adjust_credit(work, new)
    else:
        row = await adjustments.write_off(work, new)
    assert row.unit == Unit.MICRO_YUAN, "what is no grant is money"
    return Outcome(row.id, row.customer_id, row.invoice_id or row.contract_id, Money(abs(row.quantity)))


def _price(grant: GrantTerms, quantity: int) -> Money:
    return round_to_fen(price_usage(grant.unit, quantity, grant.unit_price))


async def _give(work: Work, body: GrantIn) -> Outcome:
    grant = await grants.give_grant(work, body.read_gift())
    return Outcome(grant.id, grant.customer_id, grant.contract_id, _price(grant, grant.quantity))


async def _credit(work: Work, body: CreditNoteIn) -> Outcome:
    note = await credit_notes.issue_credit_note(work, body.read_credit_note())
    return Outcome(note.id, note.customer_id, note.invoice_id, Money(note.total_micros))


async def _void(work: Work, body: InvoiceToVoidIn) -> Outcome:
    invoice = await voiding.void_invoice(work, body.invoice_id, body.reason)
    return Outcome(invoice.id, invoice.customer_id, invoice.id, invoice.total)


async def _pay_back(work: Work, body: RefundIn) -> Outcome:
    row = await payments.request_refund(work, body.read_refund())
    assert row.customer_id is not None, "it is taken out of a contract, which is a customer's"
    return Outcome(row.id, row.customer_id, body.contract_id, Money(row.amount_micros))


async def _refund(work: Work, body: GrantRefundIn) -> Outcome:
    refund = await refunds.refund_grant(work, body.grant_id)
    return Outcome(refund.grant.id, refund.grant.customer_id, refund.grant.id, refund.total)


async def _void_grant(work: Work, body: GrantToVoidIn) -> Outcome:
    grant, worth = await grants.void_grant(work, body.grant_id, body.reason)
    return Outcome(grant.id, grant.customer_id, grant.id, worth)


async def _lose(work: Work, body: DisputeLossIn) -> Outcome:
    row = await chargebacks.lose_dispute(work, body.dispute_id, body.remedy)
    return Outcome(row.remedy_id or row.id, row.customer_id, row.id, row.gross)


ACTS = {
    "adjustment": Act(AdjustmentIn, _adjust),
    "credit_note": Act(CreditNoteIn, _credit),
    "dispute_loss": Act(DisputeLossIn, _lose),
    "grant": Act(GrantIn, _give),
    "grant_refund": Act(GrantRefundIn, _refund),
    "grant_void": Act(GrantToVoidIn, _void_grant),
    "refund": Act(RefundIn, _pay_back),
    "void": Act(InvoiceToVoidIn, _void),
}

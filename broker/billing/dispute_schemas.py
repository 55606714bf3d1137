"""API shapes of disputes."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from broker.billing.dispute_model import DisputeKind, DisputeStatus, Remedy
from broker.billing.disputes import NewDispute
from broker.billing.tables import Dispute
from broker.http.shapes import MoneyOut, Reason, RequestBody, Whole, Yuan, created_at_field, read_fields
from pricing.money import Money


class DisputeIn(RequestBody):
    invoice_id: str = Field(description="The invoice.", examples=["inv_01k"])
    position: Annotated[Whole, Field(ge=1)] = Field(description="The line, by its place on it.", examples=[1])
    amount: Annotated[Yuan | None, Field(gt=0)] = Field(
        default=None, description="Yuan, as the line says them; default: all that is left of it.", examples=["10.00"]
    )
    reason: Reason

    def read_dispute(self) -> NewDispute:
        amount = None if self.amount is None else Money.from_decimal(self.amount)
        return NewDispute(self.invoice_id, self.position, self.reason, amount)


class AnswerIn(RequestBody):
    answer: Reason


class DisputeOut(BaseModel):
    id: str = Field(description="Dispute id.", examples=["dsp_01k"])
    object: Literal["dispute"] = Field(default="dispute", description="Kind of object.", examples=["dispute"])
    customer_id: str = Field(description="Whose invoice it is about.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    invoice_id: str | None = Field(
        description="The invoice; null: a chargeback of a payment that is the contract's credit.", examples=["inv_01k"]
    )
    kind: DisputeKind = Field(
        description="line: the customer does not accept it; chargeback: the payer's bank takes the payment back.",
        examples=["line"],
    )
    position: int | None = Field(description="The line of the invoice.", examples=[1])
    payment_id: str | None = Field(description="The payment of a chargeback.", examples=["pay_01k"])
    case_number: str | None = Field(description="Its number at the bank or provider.", examples=["dp_1"])
    status: DisputeStatus = Field(
        description="opened, answered: it stands, and a line is not overdue by so much; won, lost: told from the "
        "house's side; withdrawn.",
        examples=["opened"],
    )
    amount: MoneyOut = Field(
        description="What is disputed, as the line says it.", examples=[{"amount": "10.00", "currency": "CNY"}]
    )
    gross: MoneyOut = Field(
        description="The same with the tax on top.", examples=[{"amount": "10.60", "currency": "CNY"}]
    )
    reason: str = Field(description="Why.", examples=["The run failed by the house's doing"])
    author: str = Field(description="Who opened it.", examples=["key_01k"])
    created_at: datetime = created_at_field()
    answer: str | None = Field(description="What the house says.", examples=["The evidence shows it ran"])
    answered_by: str | None = Field(description="Who answered.", examples=["key_01k"])
    answered_at: datetime | None = Field(description="When (UTC).", examples=["2026-12-05T02:00:00Z"])
    remedy: Remedy | None = Field(description="What followed where it was lost.", examples=["credit_note"])
    remedy_id: str | None = Field(description="The credit note or adjustment.", examples=["crn_01k"])
    ended_by: str | None = Field(description="Who ended it.", examples=["key_01k"])
    ended_at: datetime | None = Field(description="When (UTC).", examples=["2026-12-06T02:00:00Z"])

    @classmethod
    def of(cls, row: Dispute) -> "DisputeOut":
        own = read_fields(cls, row)
        return cls.model_validate(own | {"amount": MoneyOut.of(row.amount), "gross": MoneyOut.of(row.gross)})

"""API shapes of refunds."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from broker.http.plain_text import PlainLine
from broker.http.shapes import MoneyOut, Reason, RequestBody, Yuan, created_at_field, read_fields
from broker.payments.coming_back import CameBack
from broker.payments.model import RefundMethod, RefundSource, RefundStatus
from broker.payments.refunds import NOBODY, NewRefund
from broker.payments.schemas import PayeeIn
from broker.payments.tables import Refund
from pricing.money import Money


class RefundIn(RequestBody):
    contract_id: str = Field(description="Whose money it is.", examples=["con_01k"])
    taken_from: Literal[RefundSource.GRANT, RefundSource.CREDIT] = Field(
        description="grant: what is owed back for refunded units; credit: the customer's credit.", examples=["credit"]
    )
    method: RefundMethod = Field(
        description="bank_transfer, stripe, or customer_credit: what is owed for units becomes credit at once.",
        examples=["bank_transfer"],
    )
    amount: Annotated[Yuan | None, Field(gt=0)] = Field(
        default=None, description="Yuan; default: all that there is.", examples=["100.00"]
    )
    payee: PayeeIn | None = Field(
        default=None, description="To whom a transfer goes.", examples=[{"name": "Tea", "account": "1"}]
    )
    reason: Reason

    def read_refund(self) -> NewRefund:
        payee = NOBODY if self.payee is None else self.payee.read_payee()
        amount = None if self.amount is None else Money.from_decimal(self.amount)
        return NewRefund(self.contract_id, self.taken_from, self.method, self.reason, payee, amount)


class SentIn(RequestBody):
    bank_reference: PlainLine = Field(
        min_length=1, max_length=100, description="The bank's number of the transfer.", examples=["2026120500017"]
    )


class FailedIn(RequestBody):
    reason: Reason
    payment_id: str | None = Field(
        default=None,
        description="The payment by which the money came back, where a statement's line brought it (退汇).",
        examples=["pay_01k"],
    )
    reversed: bool = Field(
        default=False, description="The bank took its own line back (冲正): no other line brings it.", examples=[False]
    )

    def read_return(self) -> CameBack:
        return CameBack(self.payment_id, self.reversed)


class MoneyRefundOut(BaseModel):
    id: str = Field(description="Refund id.", examples=["ref_01k"])
    object: Literal["refund"] = Field(default="refund", description="Kind of object.", examples=["refund"])
    customer_id: str | None = Field(description="Whose money it is, where that is known.", examples=["cus_01k"])
    contract_id: str | None = Field(description="The contract; null: an unmatched payment.", examples=["con_01k"])
    payment_id: str | None = Field(description="The payment that goes back to its payer.", examples=["pay_01k"])
    taken_from: RefundSource = Field(description="What it is paid out of.", examples=["credit"])
    method: RefundMethod = Field(description="By which way it goes back.", examples=["bank_transfer"])
    status: RefundStatus = Field(
        description="requested: to be sent; sent; confirmed: it arrived; failed: it is what it was before.",
        examples=["sent"],
    )
    amount: MoneyOut = Field(description="How much.", examples=[{"amount": "100.00", "currency": "CNY"}])
    payee_name: str = Field(description="To whom.", examples=["苏州青茶文化有限公司"])
    payee_account: str = Field(description="To which account.", examples=["62220001"])
    payee_bank: str = Field(description="At which bank.", examples=["工商银行苏州分行"])
    reason: str = Field(description="Why.", examples=["Paid twice"])
    author: str = Field(description="Who asked for it.", examples=["key_01k"])
    created_at: datetime = created_at_field()
    sent_by: str | None = Field(description="Who sent it.", examples=["key_01k"])
    sent_at: datetime | None = Field(description="When (UTC).", examples=["2026-12-05T02:00:00Z"])
    bank_reference: str | None = Field(description="The bank's number of it.", examples=["2026120500017"])
    ended_by: str | None = Field(description="Who told how it ended.", examples=["key_01k"])
    ended_at: datetime | None = Field(description="When (UTC).", examples=["2026-12-06T02:00:00Z"])
    failure: str | None = Field(description="Why it failed.", examples=["Account closed"])
    came_back_id: str | None = Field(description="The payment by which it came back.", examples=["pay_01k"])

    @classmethod
    def of(cls, row: Refund) -> "MoneyRefundOut":
        own = read_fields(cls, row)
        return cls.model_validate(own | {"amount": MoneyOut.of(row.amount)})

"""API shapes of proposals that need two people."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from broker.approvals.model import ApprovalStatus, judge_status
from broker.approvals.service import Proposal
from broker.approvals.tables import Approval
from broker.http.shapes import MoneyOut, Reason, RequestBody, created_at_field, read_fields

ActName = Literal["adjustment", "credit_note", "dispute_loss", "grant", "grant_refund", "grant_void", "refund", "void"]
BODY_EXAMPLE = {"kind": "bad_debt", "invoice_id": "inv_01k", "reason": "The company is dissolved"}


class ApprovalIn(RequestBody):
    act: ActName = Field(
        description="`adjustment`, `credit_note`, `grant`, `refund`: as POST /v1/adjustments, /v1/credit-notes,"
        " /v1/grants, /v1/refunds do; `grant_refund`: as POST /v1/grants/{id}/refund does; `void`: as"
        " POST /v1/invoices/{id}/void does.",
        examples=["adjustment"],
    )
    body: dict[str, Any] = Field(
        description="What that route takes; a grant_refund says `grant_id` and `reason`, a void `invoice_id` and"
        " `reason`.",
        examples=[BODY_EXAMPLE],
    )

    def read_proposal(self) -> Proposal:
        return Proposal(self.act, self.body)


class RejectionIn(RequestBody):
    reason: Reason


class ApprovalOut(BaseModel):
    id: str = Field(description="Id of the proposal.", examples=["app_01k"])
    object: Literal["approval"] = Field(default="approval", description="Kind of object.", examples=["approval"])
    customer_id: str = Field(description="Whose money it is about.", examples=["cus_01k"])
    act: ActName = Field(description="What is to be done.", examples=["adjustment"])
    body: dict[str, Any] = Field(description="With what.", examples=[BODY_EXAMPLE])
    subject_id: str = Field(description="The invoice, grant or contract that it is about.", examples=["inv_01k"])
    amount: MoneyOut = Field(description="What it comes to.", examples=[{"amount": "900.00", "currency": "CNY"}])
    reason: str = Field(description="Why.", examples=["The company is dissolved"])
    status: ApprovalStatus = Field(
        description="`proposed` waits for another person; `expired` waited too long.", examples=["proposed"]
    )
    proposer: str = Field(description="The key that proposed it.", examples=["key_01k"])
    expires_at: datetime = Field(description="It can be approved until then (UTC).", examples=["2026-12-08T00:00:00Z"])
    decider: str | None = Field(description="The key that decided it.", examples=["key_02k"])
    decided_at: datetime | None = Field(description="When (UTC).", examples=["2026-12-02T00:00:00Z"])
    decision_reason: str | None = Field(description="Why it was rejected.", examples=["They will pay in January"])
    result_id: str | None = Field(description="What it made, once approved.", examples=["adj_01k"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Approval, now: datetime) -> "ApprovalOut":
        own = read_fields(cls, row)
        status = judge_status(row.status, row.expires_at, now)
        return cls.model_validate(own | {"status": status, "amount": MoneyOut.of_micros(row.amount_micros)})

"""API shapes of closing a month."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from broker.billing.closing.model import ClosingStatus, Finding
from broker.billing.closing.tables import Closing
from broker.billing.schemas import LIKE_A_MONTH, MONTH_PATTERN
from broker.http.shapes import RequestBody

MOST_REFUSED = 100


class ClosingIn(RequestBody):
    month: Annotated[str, LIKE_A_MONTH] = Field(
        pattern=MONTH_PATTERN, description="Calendar month of the house, which is over.", examples=["2026-11"]
    )
    accept: list[Annotated[str, Field(max_length=60)]] = Field(
        default=[],
        max_length=20,
        description="Points of the list that block and may stay as they are.",
        examples=[["unmatched_receipts"]],
    )


class ClosingPointOut(BaseModel):
    name: str = Field(description="The point.", examples=["unmatched_receipts"])
    open: int = Field(description="How many things are open.", examples=[0])
    blocks: bool = Field(
        description="Whether it keeps the month from being closed while any are, unless it is accepted.",
        examples=[True],
    )
    accepted: bool = Field(description="Whether the last closing accepts it.", examples=[False])
    told: str = Field(description="What there is to do.", examples=["receipts of CNY 0.00 are matched to no customer"])
    examples: list[str] = Field(description="The first of them.", examples=[["inv_01k"]])


class RefusalOut(BaseModel):
    contract_id: str | None = Field(description="The contract; null: the whole month.", examples=["con_01k"])
    month: str | None = Field(description="Its billing month; null: any of them.", examples=["2026-11"])
    reason: str = Field(description="Why it could not be made final.", examples=["the contract was busy; run it again"])


class ClosingOut(BaseModel):
    object: Literal["closing"] = Field(default="closing", description="Kind of object.", examples=["closing"])
    id: str | None = Field(description="The last closing; null: none was started.", examples=["clo_01k"])
    month: str = Field(description="Calendar month of the house.", examples=["2026-11"])
    status: Literal["open", "running", "incomplete", "closed"] = Field(
        description="`incomplete`: what could not be done is named, and it can be started again.", examples=["running"]
    )
    contracts_total: int = Field(description="Contracts to go through.", examples=[10000])
    contracts_done: int = Field(description="Contracts that it has been through.", examples=[2500])
    invoices_finalized: int = Field(description="Invoices that it has made final.", examples=[2431])
    refused: list[RefusalOut] = Field(description="What could not be made final: the first 100.", examples=[[]])
    refused_total: int = Field(description="How many there are.", examples=[0])
    checklist: list[ClosingPointOut] = Field(
        description="What there is to see to; empty once it is closed.", examples=[[]]
    )
    closed_by: str | None = Field(description="The key that closed it.", examples=["key_01k"])
    created_at: datetime | None = Field(
        description="When the last closing was started.", examples=["2026-12-03T01:00:00Z"]
    )
    ended_at: datetime | None = Field(description="When it ended.", examples=["2026-12-03T01:02:00Z"])

    @classmethod
    def of(
        cls, month: str, closing: Closing | None, findings: Sequence[Finding], closed_by: str | None
    ) -> "ClosingOut":
        accepted = [] if closing is None else closing.accepted
        refused = [] if closing is None else closing.refused
        status = "open" if closing is None else ClosingStatus(closing.status).value
        return cls(
            id=None if closing is None else closing.id,
            month=month,
            status="closed" if closed_by is not None else status,
            contracts_total=0 if closing is None else closing.contracts_total,
            contracts_done=0 if closing is None else closing.contracts_done,
            invoices_finalized=0 if closing is None else closing.invoices_finalized,
            refused=[RefusalOut(**each) for each in refused[:MOST_REFUSED]],
            refused_total=len(refused),
            checklist=[
                ClosingPointOut(
                    name=each.name,
                    open=each.open,
                    blocks=each.blocks,
                    accepted=each.name in accepted,
                    told=each.told,
                    examples=list(each.examples),
                )
                for each in findings
            ],
            closed_by=closed_by,
            created_at=None if closing is None else closing.created_at,
            ended_at=None if closing is None else closing.ended_at,
        )

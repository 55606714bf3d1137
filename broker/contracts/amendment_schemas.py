"""API shapes of amendments that were confirmed."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from broker.contracts.amendment.amendments import Amendment, AmendmentStatus
from broker.contracts.amendment.new_amendment import UnusedGrants
from broker.http.shapes import MoneyOut, as_hours, created_at_field

CHANGES_EXAMPLE = [{"field": "plan", "before": "on_demand", "after": "prepaid"}]


class ChangeOut(BaseModel):
    field: str = Field(description="The term.", examples=["plan"])
    before: Any = Field(description="What it was.", examples=["on_demand"])
    after: Any = Field(description="What it will be.", examples=["prepaid"])


class AmendmentOut(BaseModel):
    id: str = Field(description="Amendment id.", examples=["amd_01k"])
    object: Literal["amendment"] = Field(default="amendment", description="Kind of object.", examples=["amendment"])
    customer_id: str = Field(description="Whose contract it is.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    effective_at: datetime = Field(description="In effect from then on (UTC).", examples=["2026-12-01T00:00:00Z"])
    changes: list[ChangeOut] = Field(description="What it replaced.", examples=[CHANGES_EXAMPLE])
    added_gpu_hours: str = Field(description="Hours that it added.", examples=["250.0000"])
    amount: MoneyOut = Field(
        description="Price of the added hours.", examples=[{"amount": "1300.00", "currency": "CNY"}]
    )
    unused_grants: UnusedGrants = Field(description="What became of unused grants.", examples=["carry"])
    grant_id: str | None = Field(description="The grant of the added hours.", examples=["gra_01k"])
    invoice_id: str | None = Field(description="The invoice to be paid before they can be used.", examples=["inv_01k"])
    status: AmendmentStatus = Field(
        description="Still to come, in effect, or withdrawn before it was.", examples=["planned"]
    )
    withdrawn_at: datetime | None = Field(description="When it was withdrawn.", examples=["2026-11-25T08:00:00Z"])
    reason: str | None = Field(description="Why.", examples=["Order form of 2026-11-24"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, amendment: Amendment, now: datetime) -> "AmendmentOut":
        hours, amount = as_hours(amendment.added_gpu_seconds), MoneyOut.of(amendment.amount)
        return cls.model_validate(
            {**vars(amendment), "added_gpu_hours": hours, "amount": amount, "status": amendment.status_at(now)}
        )

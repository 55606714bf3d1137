"""API shapes of purchases and of automatic top-up."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from broker.contracts.terms.model import Rollover, RolloverRule
from broker.http.shapes import Moment, MoneyOut, RequestBody, as_hours, created_at_field
from broker.signing.grant_schemas import MOST_HOURS, ScopeIn, ScopeOut, Volume
from broker.signing.purchases import NewPurchase, PurchaseStatus, PurchaseView
from broker.signing.top_ups import StandingTopUp, TopUp
from pricing.grants import DEFAULT_TERM_MONTHS, GrantScope
from pricing.usage import Unit

WholeHours = Annotated[int, Field(ge=1, le=MOST_HOURS)]


class PurchaseIn(Volume):
    contract_id: str = Field(description="The contract, which gives the price.", examples=["con_01k"])
    scope: ScopeIn = Field(
        default_factory=ScopeIn,
        description="What usage it pays for; empty: all of its meter.",
        examples=[{"gpu_type": "rtx-4090"}],
    )
    effective_at: Moment | None = Field(
        default=None,
        description="It pays for usage from then on, at the earliest from its payment on; default: from its payment.",
        examples=["2026-12-01T00:00:00Z"],
    )
    term_months: int = Field(
        default=DEFAULT_TERM_MONTHS,
        ge=1,
        le=120,
        description="It expires so many months after it begins; at the latest with its contract.",
        examples=[12],
    )
    rollover: RolloverRule = Field(
        default=RolloverRule.NONE,
        description="What becomes of its unused part when the contract is renewed: it lapses, or is carried on.",
        examples=["carry"],
    )
    rollover_percent: int = Field(
        default=100, ge=1, le=100, description="The most that is carried on, of the whole of it.", examples=[50]
    )

    def read_purchase(self) -> NewPurchase:
        return NewPurchase(
            contract_id=self.contract_id,
            scope=GrantScope(self.meter, self.scope.project_id, self.scope.gpu_type),
            quantity=self.quantity,
            effective_at=self.effective_at,
            term_months=self.term_months,
            rollover=Rollover(self.rollover, self.rollover_percent),
        )


class PurchaseOut(BaseModel):
    id: str = Field(description="Purchase id.", examples=["pur_01k"])
    object: Literal["purchase"] = Field(default="purchase", description="Kind of object.", examples=["purchase"])
    customer_id: str = Field(description="Who buys.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    status: PurchaseStatus = Field(description="To be paid, paid, cancelled, or not paid in time.", examples=["open"])
    automatic: bool = Field(description="Ordered by the contract's automatic top-up.", examples=[False])
    grant_id: str = Field(description="The grant that it pays for.", examples=["gra_01k"])
    invoice_id: str = Field(description="The invoice to be paid.", examples=["inv_01k"])
    scope: ScopeOut = Field(description="What usage it pays for.", examples=[{"meter": "gpu_seconds"}])
    quantity: int = Field(description="In GPU-seconds or tokens.", examples=[180_000])
    gpu_hours: str | None = Field(description="The quantity in GPU-hours.", examples=["50.0000"])
    unit_price: str = Field(description="Yuan per GPU-hour or token.", examples=["5.2"])
    total: MoneyOut = Field(
        description="What the invoice asks for.", examples=[{"amount": "260.00", "currency": "CNY"}]
    )
    expires_at: datetime = Field(
        description="Void where it is not paid by then (UTC).", examples=["2026-12-10T04:00:00Z"]
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, view: PurchaseView) -> "PurchaseOut":
        row, grant = view.row, view.grant
        return cls(
            id=row.id,
            customer_id=row.customer_id,
            contract_id=row.contract_id,
            status=view.status,
            automatic=row.automatic,
            grant_id=row.grant_id,
            invoice_id=row.invoice_id,
            scope=ScopeOut.of(grant.scope),
            quantity=grant.quantity,
            gpu_hours=as_hours(grant.quantity) if grant.unit == Unit.GPU_SECONDS else None,
            unit_price=format(grant.unit_price.normalize(), "f"),
            total=MoneyOut.of(view.total),
            expires_at=row.expires_at,
            created_at=row.created_at,
        )


class TopUpIn(RequestBody):
    threshold_gpu_hours: WholeHours = Field(description="More is ordered below so many free hours.", examples=[50])
    purchase_gpu_hours: WholeHours = Field(description="So many hours are ordered.", examples=[500])

    def read_top_up(self, contract_id: str) -> TopUp:
        return TopUp(contract_id, self.threshold_gpu_hours * 3600, self.purchase_gpu_hours * 3600)


class TopUpOut(BaseModel):
    object: Literal["top_up"] = Field(default="top_up", description="Kind of object.", examples=["top_up"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    threshold_gpu_hours: int = Field(description="More is ordered below so many free hours.", examples=[50])
    purchase_gpu_hours: int = Field(description="So many hours are ordered.", examples=[500])

    @classmethod
    def of(cls, top_up: TopUp) -> "TopUpOut":
        return cls(
            contract_id=top_up.contract_id,
            threshold_gpu_hours=top_up.threshold_gpu_seconds // 3600,
            purchase_gpu_hours=top_up.purchase_gpu_seconds // 3600,
        )


class StandingTopUpOut(TopUpOut):
    customer_id: str = Field(description="Whose contract.", examples=["cus_01k"])
    free_gpu_hours: str = Field(description="What is free in its grants now, in GPU-hours.", examples=["42.0000"])
    is_due: bool = Field(description="Less is free than the threshold.", examples=[True])
    open_purchase_id: str | None = Field(
        description="The order that it has made by itself and that waits to be paid.", examples=["pur_01k"]
    )

    @classmethod
    def of_standing(cls, standing: StandingTopUp) -> "StandingTopUpOut":
        return cls(
            **TopUpOut.of(standing.top_up).model_dump(),
            customer_id=standing.customer_id,
            free_gpu_hours=as_hours(standing.free_gpu_seconds),
            is_due=standing.is_due,
            open_purchase_id=standing.open_purchase_id,
        )

"""API shapes of contracts."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.contracts.model import CardChoice, ContractTerms, Overage, QuoteGuarantee
from broker.contracts.tables import ContractEvent
from broker.http.shapes import MoneyOut, created_at_field
from pricing.plans import PlanName
from pricing.tax import TaxMode


class ContractOut(BaseModel):
    id: str = Field(description="Contract id.", examples=["con_01k"])
    object: Literal["contract"] = Field(default="contract", description="Kind of object.", examples=["contract"])
    customer_id: str = Field(description="Whose contract it is.", examples=["cus_01k"])
    plan: PlanName = Field(description="The plan.", examples=["prepaid"])
    committed_gpu_hours: int = Field(description="Contracted volume in GPU-hours.", examples=[500])
    gpu_hour_price: str = Field(description="Yuan per GPU-hour now.", examples=["5.2"])
    token_price: str = Field(description="Yuan per token now.", examples=["0.00009"])
    rate_card: CardChoice = Field(
        description="pinned: by the card of its signing, whatever is published; newest: by that of each day.",
        examples=["pinned"],
    )
    rate_card_version: str = Field(description="The rate card of these prices.", examples=["2026-01-01"])
    queue: str = Field(description="The queue of its jobs.", examples=["priority"])
    overage: Overage = Field(description="What becomes of usage beyond the grant.", examples=["block"])
    quote_guarantee: QuoteGuarantee = Field(
        description="What becomes of a job that reaches its quote.", examples=["pause"]
    )
    monthly_budget: MoneyOut | None = Field(
        description="Most that a month may add to invoices.", examples=[{"amount": "5000.00", "currency": "CNY"}]
    )
    time_zone: str = Field(description="Its billing months follow it.", examples=["Asia/Shanghai"])
    billing_day: int = Field(description="The day of a month on which its billing months begin.", examples=[1])
    tax_mode: TaxMode = Field(description="Tax of the issuing entity on its invoices.", examples=["on_top"])
    tax_rate: str | None = Field(description="The rate as a share; null: there is no tax.", examples=["0.06"])
    starts_at: datetime = Field(description="In force from then on (UTC).", examples=["2026-11-01T00:00:00Z"])
    ends_at: datetime | None = Field(description="In force until then (UTC).", examples=["2027-11-01T00:00:00Z"])

    @classmethod
    def of(cls, terms: ContractTerms, now: datetime) -> "ContractOut":
        budget, prices = terms.monthly_budget_micros, terms.prices_at(now)
        return cls(
            id=terms.id,
            customer_id=terms.customer_id,
            plan=terms.plan,
            committed_gpu_hours=terms.committed_gpu_hours,
            gpu_hour_price=format(prices.per_gpu_hour, "f"),
            token_price=format(prices.per_token, "f"),
            rate_card=terms.card_choice,
            rate_card_version=prices.rate_card_version,
            queue=terms.home_queue,
            overage=terms.overage,
            quote_guarantee=terms.quote_guarantee,
            monthly_budget=None if budget is None else MoneyOut.of_micros(budget),
            time_zone=terms.time_zone,
            billing_day=terms.billing_day,
            tax_mode=terms.tax.mode,
            tax_rate=None if terms.tax.mode == TaxMode.NONE else format(terms.tax.rate.normalize(), "f"),
            starts_at=terms.starts_at,
            ends_at=terms.ends_at,
        )


class ContractEventOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Event id.", examples=["coe_01k"])
    object: Literal["contract_event"] = Field(
        default="contract_event", description="Kind of object.", examples=["contract_event"]
    )
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    kind: str = Field(description="What happened, in the past tense.", examples=["signed"])
    data: dict[str, Any] = Field(description="Facts of the event.", examples=[{"plan": "prepaid"}])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: ContractEvent) -> "ContractEventOut":
        return cls.model_validate(row)

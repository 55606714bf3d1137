"""API shapes of prices: of one job on each plan, and of a month's work."""

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field

from broker.contracts.reading.prices import BeyondGrants, PlanPrices
from broker.http.shapes import MoneyOut
from broker.quotes.costing.prices import PlanQuote
from pricing.plans import PlanName
from pricing.quote import PlanPrice


class ChargedPricesOut(BaseModel):
    """Whose prices a plan's costs were computed by."""

    gpu_hour_price: str = Field(description="Yuan per GPU-hour.", examples=["5.2"])
    gpu_multiplier: str = Field(
        description="How many times the plan's price of a GPU-hour one of this GPU type costs; it is in the price.",
        examples=["1"],
    )
    token_price: str = Field(description="Yuan per token.", examples=["0.00009"])
    rate_card_version: str = Field(description="The rate card of these prices.", examples=["2026-01-01"])
    contract_id: str | None = Field(
        description="The contract that charges them; null: what signing today would give.", examples=["con_01k"]
    )

    @staticmethod
    def write(charged: PlanPrices) -> dict[str, str | None]:
        prices = charged.prices
        return {
            "gpu_hour_price": format(prices.per_gpu_hour, "f"),
            "gpu_multiplier": format(prices.gpu_multiplier, "f"),
            "token_price": format(prices.per_token, "f"),
            "rate_card_version": prices.rate_card_version,
            "contract_id": charged.contract_id,
        }


class CoveredUnitsOut(BaseModel):
    """Units that grants pay for at one price."""

    meter: Literal["gpu_seconds", "tokens"] = Field(description="What is counted.", examples=["gpu_seconds"])
    quantity: int = Field(description="So many GPU-seconds or tokens.", examples=[1_800_000])
    unit_price: str = Field(description="Yuan per GPU-hour or token, by the grant.", examples=["5.2"])

    @classmethod
    def list_of(cls, beyond: BeyondGrants) -> list["CoveredUnitsOut"]:
        return [
            cls(meter=meter.value, quantity=units.quantity, unit_price=format(units.unit_price.normalize(), "f"))
            for meter, granted in beyond.granted.items()
            for units in granted
        ]


class PlanPriceOut(ChargedPricesOut):
    """What a job costs on one plan, from p50 to p90."""

    plan: PlanName = Field(description="The plan that these prices are of.", examples=["prepaid"])
    overage_gpu_hour_price: str | None = Field(
        description="Yuan per GPU-hour that the contract's grants do not cover; null: the plan's own price.",
        examples=[None, "6.8"],
    )
    covered_gpu_seconds: int | None = Field(
        description="GPU-seconds that its grants covered when this was quoted, where others have another price.",
        examples=[None, 1_800_000],
    )
    covered_by_grants: list[CoveredUnitsOut] | None = Field(
        description="What its grants paid for when this was quoted, in their order; null: all of it costs what "
        "the plan says.",
        examples=[None, [{"meter": "gpu_seconds", "quantity": 1_800_000, "unit_price": "5.2"}]],
    )
    gpu_cost: MoneyOut = Field(description="GPU-hours at p50.", examples=[{"amount": "0.14", "currency": "CNY"}])
    gpu_cost_p90: MoneyOut = Field(description="GPU-hours at p90.", examples=[{"amount": "0.26", "currency": "CNY"}])
    token_cost: MoneyOut = Field(description="Tokens.", examples=[{"amount": "1.16", "currency": "CNY"}])
    total: MoneyOut = Field(
        description="Both, with GPU-hours at p50: half of such jobs cost no more.",
        examples=[{"amount": "1.30", "currency": "CNY"}],
    )
    total_p90: MoneyOut = Field(
        description="Both, with GPU-hours at p90: nine of ten cost no more, and this is held.",
        examples=[{"amount": "1.42", "currency": "CNY"}],
    )

    @classmethod
    def of(cls, price: PlanQuote) -> "PlanPriceOut":
        names = ("gpu_cost", "gpu_cost_p90", "token_cost", "total", "total_p90")
        costs = {name: MoneyOut.of(getattr(price, name)) for name in names}
        beyond = price.charged.beyond
        return cls(
            plan=price.plan,
            overage_gpu_hour_price=None if beyond is None else format(beyond.prices.per_gpu_hour, "f"),
            covered_gpu_seconds=None if beyond is None else beyond.covered_gpu_seconds,
            covered_by_grants=None if beyond is None else CoveredUnitsOut.list_of(beyond),
            **costs,
            **cls.write(price.charged),
        )


class PlanComparisonOut(ChargedPricesOut):
    """One plan's price of a month's work, beside on-demand."""

    plan: PlanName = Field(description="The plan.", examples=["long_term"])
    gpu_cost: MoneyOut = Field(description="All GPU-hours.", examples=[{"amount": "2400.00", "currency": "CNY"}])
    token_cost: MoneyOut = Field(description="All tokens.", examples=[{"amount": "60.00", "currency": "CNY"}])
    total: MoneyOut = Field(description="The month.", examples=[{"amount": "2460.00", "currency": "CNY"}])
    saving_percent: Decimal = Field(description="Below on-demand, in percent.", examples=["41.43"])
    yearly_saving: MoneyOut = Field(
        description="Twelve such months below on-demand.", examples=[{"amount": "20880.00", "currency": "CNY"}]
    )

    @classmethod
    def of(cls, price: PlanPrice, charged: PlanPrices) -> "PlanComparisonOut":
        return cls(
            **cls.write(charged),
            plan=price.plan,
            gpu_cost=MoneyOut.of(price.gpu_cost),
            token_cost=MoneyOut.of(price.token_cost),
            total=MoneyOut.of(price.total),
            saving_percent=price.saving_percent,
            yearly_saving=MoneyOut.of(price.yearly_saving),
        )


class PlanComparisonListOut(BaseModel):
    data: list[PlanComparisonOut] = Field(description="One entry for each plan.", examples=[[{"plan": "long_term"}]])
    rate_card_version: str = Field(
        description="The rate card in force: what signing today would give.", examples=["2026-01-01"]
    )

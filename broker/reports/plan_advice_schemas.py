"""API shapes of plan advice."""

from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut, as_hours
from broker.reports.plan_advice import CustomerAdvice
from broker.reports.report_files import ReportTable
from pricing.plan_advice.advice import JudgedOption, PlanAdvice, Scenario
from pricing.plan_advice.costs import MonthUsage, PlanCost, PlanOption
from pricing.plans import PlanName

HUNDREDTH = Decimal("0.01")
CNY = {"currency": "CNY"}


class PlanCostOut(BaseModel):
    gpu_hours: MoneyOut = Field(description="GPU-hours that were used.", examples=[{"amount": "28800.00"} | CNY])
    tokens: MoneyOut = Field(description="Tokens that were used.", examples=[{"amount": "720.00"} | CNY])
    unmet: MoneyOut = Field(
        description="GPU-hours that were committed to or bought ahead, and not used.",
        examples=[{"amount": "0.00"} | CNY],
    )
    tiers: MoneyOut = Field(description="What volume tiers take off.", examples=[{"amount": "0.00"} | CNY])
    total: MoneyOut = Field(description="All of it.", examples=[{"amount": "29520.00"} | CNY])

    @classmethod
    def of(cls, cost: PlanCost) -> "PlanCostOut":
        names = ("gpu_hours", "tokens", "unmet", "tiers", "total")
        return cls(**{name: MoneyOut.of(getattr(cost, name)) for name in names})


class PlanOptionOut(BaseModel):
    plan: PlanName = Field(description="The plan.", examples=["long_term"])
    committed_gpu_hours: int = Field(description="What it commits to in twelve months.", examples=[2000])
    advised: bool = Field(description="Whether this is the advice.", examples=[True])
    present: bool = Field(description="Whether a contract in force is like this.", examples=[False])
    cost: PlanCostOut = Field(
        description="What the months would have cost; of a year that is not whole the commitment in proportion.",
        examples=[{"total": {"amount": "29520.00"} | CNY}],
    )
    saving: MoneyOut = Field(
        description="What that is less than on demand; below zero: more.", examples=[{"amount": "20880.00"} | CNY]
    )
    worst_case: MoneyOut = Field(
        description="The least saving, were all months as they were, as the quietest, or as the busiest.",
        examples=[{"amount": "-1200.00"} | CNY],
    )
    regret: MoneyOut = Field(
        description="The most that it costs above the cheapest option in one of these.",
        examples=[{"amount": "0.00"} | CNY],
    )
    break_even_gpu_hours: str | None = Field(
        description="How many GPU-hours of a year's commitment must be used for it to cost no more than on demand, "
        "without tokens, to two places; null: it commits to nothing.",
        examples=["1176.47"],
    )
    if_quietest: MoneyOut = Field(
        description="What it costs if every month is like the quietest.", examples=[{"amount": "8000.00"} | CNY]
    )
    if_busiest: MoneyOut = Field(
        description="What it costs if every month is like the busiest.", examples=[{"amount": "40000.00"} | CNY]
    )

    @classmethod
    def of(cls, judged: JudgedOption, advice: PlanAdvice, present: Collection[PlanOption]) -> "PlanOptionOut":
        break_even = advice.break_even.get(judged.option)
        return cls(
            plan=judged.option.plan,
            committed_gpu_hours=judged.option.committed_gpu_hours,
            advised=judged is advice.advised,
            present=judged.option in present,
            cost=PlanCostOut.of(judged.cost),
            saving=MoneyOut.of(judged.saving),
            worst_case=MoneyOut.of(judged.worst_case),
            regret=MoneyOut.of(judged.regret),
            break_even_gpu_hours=None if break_even is None else _write_hours(break_even),
            if_quietest=MoneyOut.of(judged.costs[Scenario.QUIETEST].total),
            if_busiest=MoneyOut.of(judged.costs[Scenario.BUSIEST].total),
        )


class MonthUsageOut(BaseModel):
    month: str = Field(description="Billing month.", examples=["2026-10"])
    gpu_hours: str = Field(description="GPU-hours that the customer was charged for.", examples=["600.0000"])
    tokens: int = Field(description="Tokens.", examples=[1_000_000])

    @classmethod
    def of(cls, month: str, usage: MonthUsage) -> "MonthUsageOut":
        return cls(month=month, gpu_hours=as_hours(usage.all_gpu_seconds), tokens=usage.tokens)


class PlanAdviceOut(BaseModel):
    object: Literal["plan_advice"] = Field(
        default="plan_advice", description="Kind of object.", examples=["plan_advice"]
    )
    customer_id: str = Field(description="The customer.", examples=["cus_01k"])
    customer: str = Field(description="The customer's name.", examples=["Acme Tea"])
    as_of: datetime = Field(description="When it was made (UTC).", examples=["2026-11-24T10:00:00Z"])
    rate_card_version: str = Field(
        description="The card whose prices it is by: the one that a contract signed today begins with.",
        examples=["2026-01-01"],
    )
    months: list[MonthUsageOut] = Field(
        description="The whole months that it is from, the oldest first.", examples=[[{"month": "2026-10"}]]
    )
    data: list[PlanOptionOut] = Field(
        description="The options by regret, the advised one first; none before a whole month is over.",
        examples=[[{"plan": "long_term"}]],
    )

    @classmethod
    def of(cls, found: CustomerAdvice, as_of: datetime) -> "PlanAdviceOut":
        return cls(
            customer_id=found.customer_id,
            customer=found.customer,
            as_of=as_of,
            rate_card_version=found.card.version,
            months=[MonthUsageOut.of(*each) for each in zip(found.months, found.usage, strict=True)],
            data=[] if found.advice is None else _list_options(found.advice, found.present),
        )


def _list_options(advice: PlanAdvice, present: Collection[PlanOption]) -> list[PlanOptionOut]:
    return [PlanOptionOut.of(judged, advice, present) for judged in advice.options]


def _write_hours(hours: Fraction) -> str:
    return str((Decimal(hours.numerator) / hours.denominator).quantize(HUNDREDTH))


COLUMNS = (
    "customer_id",
    "customer",
    "first_month",
    "last_month",
    "plan",
    "committed_gpu_hours",
    "advised",
    "present",
    "gpu_hours",
    "tokens",
    "unmet",
    "tiers",
    "total",
    "saving",
    "worst_case",
    "regret",
    "break_even_gpu_hours",
    "if_quietest",
    "if_busiest",
    "currency",
)


def tabulate_advice(advice: PlanAdviceOut) -> ReportTable:
    """Lay the options out as a table, the advised one first."""
    return ReportTable(f"plan-advice-{advice.customer_id}", COLUMNS, _list_rows(advice), ("customer",))


def _list_rows(advice: PlanAdviceOut) -> Iterable[dict[str, object]]:
    of_customer = {"customer_id": advice.customer_id, "customer": advice.customer}
    for option in advice.data:
        window = {"first_month": advice.months[0].month, "last_month": advice.months[-1].month}
        own = option.model_dump(exclude={"cost"})
        cost = option.cost.model_dump()
        yield of_customer | window | own | cost | {"currency": option.saving.currency}

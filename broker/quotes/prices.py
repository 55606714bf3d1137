"""What GPU-seconds and tokens cost on every plan, at p50 and at p90. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pricing.estimate.run_estimate import GpuSeconds
from pricing.money import Money
from pricing.plans import PlanName
from pricing.quote import price_line
from pricing.rate_card import UnitPrices
from pricing.rating import UsageTotal
from pricing.usage import Unit


@dataclass(frozen=True)
class PlanQuote:
    """What a job costs on one plan, to the fen: GPU-seconds at p50, tokens, both, and both with GPU-seconds at p90."""

    plan: PlanName
    gpu_cost: Money
    token_cost: Money
    total_p90: Money

    @property
    def total(self) -> Money:
        return self.gpu_cost + self.token_cost

    def to_json(self) -> dict[str, Any]:
        costs = {name: getattr(self, name) for name in ("gpu_cost", "token_cost", "total", "total_p90")}
        return {"plan": self.plan.value, **{name: money_to_json(cost) for name, cost in costs.items()}}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "PlanQuote":
        costs = {name: money_from_json(written[name]) for name in ("gpu_cost", "token_cost", "total_p90")}
        return cls(plan=PlanName(written["plan"]), **costs)


def price_on_every_plan(prices: Iterable[UnitPrices], gpu_seconds: GpuSeconds, tokens: int) -> list[PlanQuote]:
    """Price a job on every plan, by the prices of each."""
    return [price_on_plan(each, gpu_seconds, tokens) for each in prices]


def price_on_plan(prices: UnitPrices, gpu_seconds: GpuSeconds, tokens: int) -> PlanQuote:
    """Price a job on one plan. Each line is rounded once, to the fen, and a total is the sum of its lines."""
    token_cost = price_line(UsageTotal(Unit.TOKENS, tokens), prices)
    return PlanQuote(
        plan=prices.plan,
        gpu_cost=price_line(UsageTotal(Unit.GPU_SECONDS, gpu_seconds.p50), prices),
        token_cost=token_cost,
        total_p90=price_line(UsageTotal(Unit.GPU_SECONDS, gpu_seconds.p90), prices) + token_cost,
    )


def money_to_json(money: Money) -> dict[str, str]:
    return {"amount": money.format_amount(), "currency": money.currency}


def money_from_json(written: Mapping[str, str]) -> Money:
    return Money.from_decimal(written["amount"], written["currency"])

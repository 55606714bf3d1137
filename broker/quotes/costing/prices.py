"""What GPU-seconds and tokens cost on every plan, at p50 and at p90. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from broker.contracts.reading.prices import BeyondGrants, PlanPrices
from pricing.estimate.run_estimate import GpuSeconds
from pricing.money import Money, round_quotient_to_fen
from pricing.plain_tuples import make
from pricing.plans import PlanName
from pricing.rate_card import UnitPrices
from pricing.rating import divide_price
from pricing.usage import Unit
from pricing.usage_prices import PricedUnits

COSTS = ("gpu_cost", "gpu_cost_p90", "token_cost")


class PlanQuote(NamedTuple):
    """What a job costs on one plan, to the fen: GPU-seconds at p50 and at p90, and tokens; and by which prices."""

    charged: PlanPrices
    gpu_cost: Money
    gpu_cost_p90: Money
    token_cost: Money

    @property
    def plan(self) -> PlanName:
        return self.charged.prices.plan

    @property
    def total(self) -> Money:
        return self.gpu_cost + self.token_cost

    @property
    def total_p90(self) -> Money:
        return self.gpu_cost_p90 + self.token_cost

    def to_json(self) -> dict[str, Any]:
        prices = self.charged.prices
        return {
            "plan": self.plan.value,
            **{name: money_to_json(getattr(self, name)) for name in (*COSTS, "total", "total_p90")},
            "per_gpu_hour": str(prices.per_gpu_hour),
            "per_token": str(prices.per_token),
            "gpu_multiplier": str(prices.gpu_multiplier),
            "rate_card_version": prices.rate_card_version,
            "contract_id": self.charged.contract_id,
            "beyond": _beyond_to_json(self.charged.beyond),
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "PlanQuote":
        costs = {name: money_from_json(written[name]) for name in COSTS}
        prices = UnitPrices(
            plan=PlanName(written["plan"]),
            per_gpu_hour=Decimal(written["per_gpu_hour"]),
            per_token=Decimal(written["per_token"]),
            rate_card_version=written["rate_card_version"],
            currency=costs["token_cost"].currency,
            gpu_multiplier=Decimal(written.get("gpu_multiplier", "1")),  # a quote of an earlier release has none
        )
        beyond = _beyond_from_json(written.get("beyond"), prices)  # a quote of an earlier release has none
        return cls(PlanPrices(prices, written["contract_id"], beyond), **costs)


def price_on_every_plan(plans: Iterable[PlanPrices], gpu_seconds: GpuSeconds, tokens: int) -> list[PlanQuote]:
    """Price a job on every plan, by the prices of each."""
    return [price_on_plan(each, gpu_seconds, tokens) for each in plans]


def price_on_plan(charged: PlanPrices, gpu_seconds: GpuSeconds, tokens: int) -> PlanQuote:
    """Price a job on one plan. Each line is rounded once, to the fen, and a total is the sum of its lines.

    What grants pay for is a line of its own where it has another price than the rest.
    """
    prices = charged.prices
    if charged.beyond is not None:
        usage = charged.of_usage
        cost, cost_p90 = (usage.price_meter(Unit.GPU_SECONDS, count) for count in gpu_seconds)
        return PlanQuote(charged, cost, cost_p90, usage.price_meter(Unit.TOKENS, tokens))
    (dividend, divisor), currency = prices.per_gpu_second, prices.currency
    p50, p90 = gpu_seconds
    cost = round_quotient_to_fen(p50 * dividend, divisor, currency)
    cost_p90 = round_quotient_to_fen(p90 * dividend, divisor, currency)
    return make(PlanQuote, (charged, cost, cost_p90, _price_tokens(tokens, prices.per_token, currency)))


@lru_cache(maxsize=64)  # the tokens of a job are the same on every GPU type
def _price_tokens(tokens: int, per_token: Decimal, currency: str) -> Money:
    return round_quotient_to_fen(*divide_price(Unit.TOKENS, tokens, per_token), currency)


def money_to_json(money: Money) -> dict[str, str]:
    return {"amount": money.format_amount(), "currency": money.currency}


def money_from_json(written: Mapping[str, str]) -> Money:
    return Money.from_decimal(written["amount"], written["currency"])


def _beyond_to_json(beyond: BeyondGrants | None) -> dict[str, Any] | None:
    if beyond is None:
        return None
    return {
        "plan": beyond.prices.plan.value,
        "per_gpu_hour": str(beyond.prices.per_gpu_hour),
        "granted": {
            meter.value: [
                {"quantity": each.quantity, "unit_price": str(each.unit_price), "billable": each.billable}
                for each in units
            ]
            for meter, units in beyond.granted.items()
        },
    }


def _beyond_from_json(written: Mapping[str, Any] | None, prices: UnitPrices) -> BeyondGrants | None:
    """Read what is beyond the grants of the contract that charges the prices."""
    if written is None:
        return None
    own = replace(prices, plan=PlanName(written["plan"]), per_gpu_hour=Decimal(written["per_gpu_hour"]))
    return BeyondGrants(own, _granted_from_json(written, prices))


def _granted_from_json(written: Mapping[str, Any], prices: UnitPrices) -> dict[Unit, tuple[PricedUnits, ...]]:
    """Read what grants pay for; a quote of an earlier release has only how many GPU-seconds, at the plan's price."""
    if "granted" not in written:
        covered = PricedUnits(written["covered_gpu_seconds"], prices.per_gpu_hour, billable=True)
        return {Unit.GPU_SECONDS: (covered,)}
    return {
        Unit(meter): tuple(
            PricedUnits(each["quantity"], Decimal(each["unit_price"]), each["billable"]) for each in units
        )
        for meter, units in written["granted"].items()
    }

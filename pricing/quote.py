"""Quotes: what the same work costs on every plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pricing.money import Money, divide_half_even, round_quotient_to_fen
from pricing.plans import PlanName
from pricing.rate_card import UnitPrices
from pricing.rating import UsageTotal, divide_price
from pricing.usage import Unit

MONTHS_PER_YEAR = 12


@dataclass(frozen=True)
class PlanPrice:
    """The price of a month's work on one plan, beside on-demand.

    Units: saving_percent has 2 decimal places; yearly_saving is for twelve such months. Both are negative where the
    plan costs more than on-demand.
    """

    plan: PlanName
    gpu_cost: Money
    token_cost: Money
    total: Money
    saving_percent: Decimal
    yearly_saving: Money


def compare_plans(
    prices: Mapping[PlanName, UnitPrices], *, gpu_seconds: int, tokens: int, runs: int = 1
) -> list[PlanPrice]:
    """Price `runs` equal runs on every plan, on-demand first; `prices` has those of each plan.

    Units: GPU-seconds and tokens of one run. Each line (all runs of one meter) is rounded once, to the fen, and the
    total is the sum of its lines.
    Raises: NegativeUsage.
    """
    gpu = UsageTotal(Unit.GPU_SECONDS, gpu_seconds * runs)
    text = UsageTotal(Unit.TOKENS, tokens * runs)
    lines = {plan: (price_line(gpu, prices[plan]), price_line(text, prices[plan])) for plan in PlanName}
    on_demand = sum(lines[PlanName.ON_DEMAND], Money.zero(prices[PlanName.ON_DEMAND].currency))
    return [_compare(plan, *lines[plan], on_demand=on_demand) for plan in PlanName]


def price_line(usage: UsageTotal, prices: UnitPrices) -> Money:
    """Price one meter, rounded once, half-even to the fen. Raises: NegativeUsage."""
    dividend, divisor = divide_price(usage.meter, usage.quantity, prices.of(usage.meter))
    return round_quotient_to_fen(dividend, divisor, prices.currency)


def _compare(plan: PlanName, gpu_cost: Money, token_cost: Money, *, on_demand: Money) -> PlanPrice:
    total = gpu_cost + token_cost
    saving = on_demand - total
    return PlanPrice(
        plan=plan,
        gpu_cost=gpu_cost,
        token_cost=token_cost,
        total=total,
        saving_percent=_compute_percent(saving, of=on_demand),
        yearly_saving=saving * MONTHS_PER_YEAR,
    )


def _compute_percent(part: Money, *, of: Money) -> Decimal:
    if not of.micros:
        return Decimal("0.00")
    return Decimal(divide_half_even(part.micros * 100_00, of.micros)).scaleb(-2)

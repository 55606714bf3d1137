"""What a fixed sum of money buys of a job."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pricing.money import Money
from pricing.rate_card import UnitPrices
from pricing.rating import price_both_meters
from pricing.usage import Usage


@dataclass(frozen=True)
class JobNeed:
    """What a whole job needs. Units: GPU-seconds, tokens, optimizer steps of the job and of one epoch."""

    gpu_seconds: int
    tokens: int
    steps: int
    steps_per_epoch: int


@dataclass(frozen=True)
class JobPart:
    """The part of a job that a sum pays for.

    Units: whole optimizer steps; epochs and percent to 2 decimal places, rounded down; `cost` is the price of the
    steps, never more than the sum.
    """

    steps: int
    epochs: Decimal
    percent: Decimal
    cost: Money


def buy_part(prices: UnitPrices, max_cost: Money, need: JobNeed) -> JobPart:
    """Find the most whole steps that `max_cost` pays for; all of them where it reaches.

    Every step is taken to cost the same, so that the time to load the model is spread over the steps.
    Raises: NegativeUsage.
    Source: issue 4, "what a fixed max_cost buys".
    """
    price = price_both_meters(Usage(need.gpu_seconds, need.tokens), prices)
    limit = Fraction(max_cost.to_decimal())
    steps = need.steps if price <= limit else int(need.steps * max(limit, Fraction(0)) / price)
    return JobPart(
        steps=steps,
        epochs=_round_down(Fraction(steps, need.steps_per_epoch)),
        percent=_round_down(Fraction(100 * steps, need.steps)),
        cost=Money.from_exact(price * steps / need.steps, prices.currency),
    )


def _round_down(value: Fraction) -> Decimal:
    return Decimal(int(value * 100)).scaleb(-2)

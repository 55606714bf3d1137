"""What a fixed sum of money buys of a job: steps for its quote, GPU-seconds and tokens for its hold."""

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pricing.money import MICROS_PER_FEN, MICROS_PER_UNIT, Money, round_to_fen
from pricing.rate_card import UnitPrices
from pricing.rating import price_both_meters, price_usage
from pricing.usage import METERS, Usage


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


def price_one_step(prices: UnitPrices, need: JobNeed) -> Money:
    """Compute the least sum, to the micro, for which `buy_part` finds a step; nothing where no step is left."""
    price = price_both_meters(Usage(need.gpu_seconds, need.tokens), prices)
    return Money(math.ceil(price * MICROS_PER_UNIT / need.steps) if need.steps else 0, prices.currency)


def buy_usage(prices: UnitPrices, money: Money, need: Usage) -> Usage:
    """Find the part of a need that a sum pays for: the same share of both meters, and tokens for what then is left.

    Neither its exact price nor the sum of its two invoice lines, each rounded to the fen, goes beyond the sum.
    Raises: NegativeUsage.
    """
    if _pays_for(prices, money, need):
        return need
    part = _share_out(prices, money, need)
    if _pays_for(prices, money, part):
        return part
    # Two lines are rounded up beyond a sum only where they reach its last whole fen.
    return _share_out(prices, Money(money.micros // MICROS_PER_FEN * MICROS_PER_FEN - 1, money.currency), need)


def _pays_for(prices: UnitPrices, money: Money, usage: Usage) -> bool:
    exact = [price_usage(meter, usage.count(meter), prices.of(meter)) for meter in METERS]
    invoiced = sum((round_to_fen(line, prices.currency) for line in exact), Money.zero(prices.currency))
    return invoiced <= money and sum(exact) <= Fraction(money.to_decimal())


def _share_out(prices: UnitPrices, money: Money, need: Usage) -> Usage:
    """Share a sum below the price of a need out to its meters, rounded down to whole units."""
    left = max(Fraction(money.to_decimal()), Fraction(0))
    gpu_seconds = int(need.gpu_seconds * left / price_both_meters(need, prices))
    left -= price_both_meters(Usage(gpu_seconds), prices)
    price = price_both_meters(Usage(tokens=1), prices)
    return Usage(gpu_seconds, min(need.tokens, int(left / price)) if price else need.tokens)


def _round_down(value: Fraction) -> Decimal:
    return Decimal(int(value * 100)).scaleb(-2)

"""Where a job pauses and where its customer's charge ends, by its quote, its contract and `max_cost`. Pure."""

import math
from dataclasses import dataclass
from fractions import Fraction

from broker.contracts.model import QuoteGuarantee
from pricing.money import MICROS_PER_UNIT, Money
from pricing.rate_card import UnitPrices
from pricing.rating import price_both_meters
from pricing.usage import Usage


@dataclass(frozen=True)
class QuotedNeed:
    """A quoted need: nine of ten such jobs need no more. `total` is its price as the quote shows it."""

    usage: Usage
    total: Money


@dataclass(frozen=True)
class Limits:
    """Units: micro-yuan and GPU-seconds of the whole job. A run pauses at a limit; a cap ends what is charged."""

    guarantee: QuoteGuarantee | None
    limit_micros: int | None
    limit_gpu_seconds: int | None
    cap_micros: int | None


@dataclass(frozen=True)
class Spent:
    """What a job has used so far, and what its customer is charged for it. Units: GPU-seconds, micro-yuan."""

    gpu_seconds: int
    cost_micros: int


def plan_limits(
    guarantee: QuoteGuarantee, prices: UnitPrices, quoted: QuotedNeed, *, was_named: bool, max_cost: Money | None
) -> Limits:
    """Decide what a job is promised at submission, under its contract's guarantee and at the prices of its quote.

    A contract's cap holds for every job. A job pauses at its quote only where the customer named one: nobody was told
    the price of an estimate that was made on submission.
    """
    most = None if max_cost is None else max_cost.micros
    if guarantee == QuoteGuarantee.CAP:
        return Limits(QuoteGuarantee.CAP, most, None, quoted.total.micros)
    if not was_named:
        return Limits(None, most, None, None)
    quoted_micros = math.ceil(price_both_meters(quoted.usage, prices) * MICROS_PER_UNIT)
    limit = quoted_micros if most is None else min(quoted_micros, most)
    return Limits(QuoteGuarantee.PAUSE, limit, quoted.usage.gpu_seconds, None)


def has_reached_limit(limits: Limits, spent: Spent) -> bool:
    """Tell whether a job has to pause until its customer raises what it may cost."""
    reached_cost = limits.limit_micros is not None and spent.cost_micros >= limits.limit_micros
    reached_time = limits.limit_gpu_seconds is not None and spent.gpu_seconds >= limits.limit_gpu_seconds
    return reached_cost or reached_time


def find_charge_limit(limits: Limits, spent: Spent) -> Money | None:
    """Find the most that the customer may be charged in all when more usage comes in; None: for all.

    The interval that reaches a limit is charged whole. What a run still uses after it, until it has stopped, is not:
    so a limit is never exceeded by more than one interval adds.
    """
    ends = [] if limits.cap_micros is None else [limits.cap_micros]
    if has_reached_limit(limits, spent):
        ends.append(spent.cost_micros)
    return Money(min(ends)) if ends else None


def clip_need(limits: Limits, spent: Spent, prices: UnitPrices, need: Usage) -> Usage:
    """Clip a need to what can be charged before the job pauses or its cap is reached: no more has to be held."""
    gpu_seconds, tokens = need.gpu_seconds, need.tokens
    if limits.limit_gpu_seconds is not None:
        gpu_seconds = min(gpu_seconds, max(0, limits.limit_gpu_seconds - spent.gpu_seconds))
    ends = [end for end in (limits.limit_micros, limits.cap_micros) if end is not None]
    if not ends:
        return Usage(gpu_seconds, tokens)
    left = Fraction(max(0, min(ends) - spent.cost_micros), MICROS_PER_UNIT)
    tokens = min(tokens, _count_units(left, price_both_meters(Usage(tokens=1), prices)))
    left -= price_both_meters(Usage(tokens=tokens), prices)
    return Usage(min(gpu_seconds, _count_units(left, price_both_meters(Usage(gpu_seconds=1), prices))), tokens)


def _count_units(money: Fraction, price: Fraction) -> int:
    """Count the units whose price reaches the sum: a run goes on until its limit is reached. Free ones never do."""
    return math.ceil(money / price) if price else 10**18

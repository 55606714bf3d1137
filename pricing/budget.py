"""What a fixed sum of money buys of a job: steps for its quote, GPU-seconds and tokens for its hold."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pricing.money import Money
from pricing.usage import Unit, Usage
from pricing.usage_prices import Count, UsagePrices


@dataclass(frozen=True)
class JobNeed:
    """What a whole job needs. Units: GPU-seconds, tokens, optimizer steps of the job and of one epoch."""

    gpu_seconds: int
    tokens: int
    steps: int
    steps_per_epoch: int

    def take(self, steps: int) -> dict[Unit, Count]:
        """Take the share of both meters that so many of its steps have. Units: GPU-seconds and tokens, exact."""
        share = Fraction(steps, self.steps) if self.steps else Fraction(0)
        return {Unit.GPU_SECONDS: self.gpu_seconds * share, Unit.TOKENS: self.tokens * share}


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


def buy_part(prices: UsagePrices, max_cost: Money, need: JobNeed) -> JobPart:
    """Find the most whole steps that `max_cost` pays for; all of them where it reaches.

    Every step is taken to cost the same, so that the time to load the model is spread over the steps. A sum pays as it
    will be charged: neither the exact price nor that of the invoice's lines goes beyond it.
    Raises: NegativeUsage.
    Source: issue 4, "what a fixed max_cost buys".
    """
    steps = _find_most(need.steps, lambda count: prices.pay_for(max_cost, need.take(count)))
    return JobPart(
        steps=steps,
        epochs=_round_down(Fraction(steps, need.steps_per_epoch)),
        percent=_round_down(Fraction(100 * steps, need.steps)),
        cost=Money.from_exact(prices.price(need.take(steps)), prices.currency),
    )


def price_one_step(prices: UsagePrices, need: JobNeed) -> Money:
    """Compute the least sum, to the micro, for which `buy_part` finds a step; nothing where no step is left."""
    return prices.find_least(need.take(1))


def buy_usage(prices: UsagePrices, money: Money, need: Usage) -> Usage:
    """Find the part of a need that a sum pays for: the same share of both meters, and tokens for what then is left.

    Neither its exact price nor the sum of its invoice lines, each rounded to the fen, goes beyond the sum.
    Raises: NegativeUsage.
    """
    if prices.pay_for(money, need.by_meter):
        return need
    share = Fraction(need.tokens, need.gpu_seconds) if need.gpu_seconds else Fraction(0)

    def pays_for_share(gpu_seconds: int) -> bool:
        counts: dict[Unit, Count] = {Unit.GPU_SECONDS: gpu_seconds, Unit.TOKENS: share * gpu_seconds}
        return prices.pay_for(money, counts)

    gpu_seconds = _find_most(need.gpu_seconds, pays_for_share)
    tokens = _find_most(need.tokens, lambda count: prices.pay_for(money, Usage(gpu_seconds, count).by_meter))
    return Usage(gpu_seconds, tokens)


def _find_most(most: int, is_paid: Callable[[int], bool]) -> int:
    """Find the largest count up to `most` that is paid, where with each count that is every smaller one is, too.

    Of nothing at all there is nothing to pay.
    """
    if is_paid(most):
        return most
    return bisect_left(range(most), True, key=lambda count: not is_paid(count + 1))


def _round_down(value: Fraction) -> Decimal:
    return Decimal(int(value * 100)).scaleb(-2)

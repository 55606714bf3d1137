"""Where a job pauses and where its customer's charge ends, by its quote, its contract and `max_cost`. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from broker import errors
from broker.contracts.terms.model import QuoteGuarantee
from broker.ledger.service import Promise
from pricing.budget import JobNeed, buy_usage, price_one_step
from pricing.money import Money
from pricing.usage import Usage
from pricing.usage_prices import UsagePrices


@dataclass(frozen=True)
class QuotedNeed:
    """A quoted need: nine of ten such jobs need no more. `total` is its price as the quote shows it."""

    usage: Usage
    total: Money


@dataclass(frozen=True)
class Limits:
    """Units: micro-yuan and GPU-seconds of the whole job. A run pauses at a limit; neither it nor a cap is exceeded."""

    guarantee: QuoteGuarantee | None
    limit_micros: int | None
    limit_gpu_seconds: int | None
    cap_micros: int | None


@dataclass(frozen=True)
class Spent:
    """What a job has used so far, and what its customer is charged for it. Units: GPU-seconds, micro-yuan."""

    gpu_seconds: int
    cost_micros: int


NOTHING_SPENT = Spent(0, 0)


def plan_limits(
    guarantee: QuoteGuarantee, prices: UsagePrices, quoted: QuotedNeed, *, was_named: bool, max_cost: Money | None
) -> Limits:
    """Decide what a job is promised at submission, under its contract's guarantee and at the prices of its usage.

    A contract's cap holds for every job. A job pauses at its quote only where the customer named one: nobody was told
    the price of an estimate that was made on submission. The quoted price is what the quote shows, or the exact one
    where that is some part of a fen higher: all that was quoted can be used. Who says more than that has said what the
    job may cost: it goes on beyond its quote, up to there, and its hold is extended as it does.
    """
    most = None if max_cost is None else max_cost.micros
    if guarantee == QuoteGuarantee.CAP:
        return Limits(QuoteGuarantee.CAP, most, None, quoted.total.micros)
    if not was_named:
        return Limits(None, most, None, None)
    quoted_micros = max(prices.price_up(quoted.usage.by_meter), quoted.total.micros)
    if most is not None and most > quoted_micros:
        return Limits(QuoteGuarantee.PAUSE, most, None, None)
    return Limits(QuoteGuarantee.PAUSE, quoted_micros if most is None else most, quoted.usage.gpu_seconds, None)


def widen_limits(limits: Sequence[Limits]) -> Limits:
    """Find the limits of a job that may run on any of several GPU types: of each promise the widest that one gives.

    What it was promised is said of the whole job, whichever of them it runs on, and after how many runs; the widest is
    no limit at all.
    """
    first, *others = limits
    if not others:
        return first
    return Limits(
        first.guarantee,
        *(
            _find_widest([getattr(each, name) for each in limits])
            for name in ("limit_micros", "limit_gpu_seconds", "cap_micros")
        ),
    )


def _find_widest(values: Sequence[int | None]) -> int | None:
    bounds = [value for value in values if value is not None]
    return max(bounds) if len(bounds) == len(values) else None


def has_reached_limit(limits: Limits, spent: Spent) -> bool:
    """Tell whether a job has to pause until its customer raises what it may cost."""
    reached_cost = limits.limit_micros is not None and spent.cost_micros >= limits.limit_micros
    reached_time = limits.limit_gpu_seconds is not None and spent.gpu_seconds >= limits.limit_gpu_seconds
    return reached_cost or reached_time


@lru_cache(maxsize=4096)
def find_promise(limits: Limits) -> Promise:
    """Find what the customer is never charged beyond, whatever comes in: the ledger compares each capture with it."""
    limit, cap = (None if micros is None else Money(micros) for micros in (limits.limit_micros, limits.cap_micros))
    return Promise(limit=limit, limit_gpu_seconds=limits.limit_gpu_seconds, cap=cap)


def require_one_step(need: JobNeed, prices: UsagePrices, max_cost: Money) -> None:
    """Refuse a sum that pays for not one step of a job; with any other it runs as far as the sum reaches, and pauses.

    Raises: MaxCostExceeded.
    """
    least = price_one_step(prices, need)
    if max_cost < least:
        raise errors.MaxCostExceeded(
            f"max_cost {max_cost.format_amount()} pays for not one of the job's {need.steps} steps.",
            errors=[errors.FieldError("max_cost", f"must be at least {least.format_amount()}, the price of one step")],
        )


def clip_need(limits: Limits, spent: Spent, prices: UsagePrices, need: Usage) -> Usage:
    """Clip a need to what its customer can be charged for: a hold reserves no more than the job may still cost."""
    gpu_seconds = need.gpu_seconds
    if limits.limit_gpu_seconds is not None:
        gpu_seconds = min(gpu_seconds, max(0, limits.limit_gpu_seconds - spent.gpu_seconds))
    within = Usage(gpu_seconds, need.tokens)
    ends = [end for end in (limits.limit_micros, limits.cap_micros) if end is not None]
    if not ends:
        return within
    return buy_usage(prices, Money(max(0, min(ends) - spent.cost_micros)), within)

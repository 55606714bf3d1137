"""Where a job pauses and where its customer's charge ends, by its quote, its contract and `max_cost`. Pure."""

import math
from dataclasses import dataclass
from fractions import Fraction

from broker.contracts.model import ContractTerms, QuoteGuarantee
from broker.jobs.tables import Job
from pricing.money import MICROS_PER_UNIT, Money
from pricing.plans import Meter
from pricing.rating import price_usage


@dataclass(frozen=True)
class QuotedNeed:
    """What a quote says that nine of ten such jobs need no more than. `total` is its price as the quote shows it."""

    gpu_seconds: int
    tokens: int
    total: Money


@dataclass(frozen=True)
class Limits:
    """Units: micro-yuan and GPU-seconds of the whole job. A run pauses at a limit; a cap ends what is charged."""

    guarantee: QuoteGuarantee | None
    limit_micros: int | None
    limit_gpu_seconds: int | None
    cap_micros: int | None


def plan_limits(terms: ContractTerms, quoted: QuotedNeed, *, was_named: bool, max_cost: Money | None) -> Limits:
    """What a job is promised at submission.

    A contract's cap holds for every job. A job pauses at its quote only where the customer named one: nobody was told
    the price of an estimate that was made on submission.
    """
    most = None if max_cost is None else max_cost.micros
    if terms.quote_guarantee == QuoteGuarantee.CAP:
        return Limits(QuoteGuarantee.CAP, most, None, quoted.total.micros)
    if not was_named:
        return Limits(None, most, None, None)
    quoted_micros = math.ceil(price_need(terms, quoted.gpu_seconds, quoted.tokens) * MICROS_PER_UNIT)
    limit = quoted_micros if most is None else min(quoted_micros, most)
    return Limits(QuoteGuarantee.PAUSE, limit, quoted.gpu_seconds, None)


def price_need(terms: ContractTerms, gpu_seconds: int, tokens: int) -> Fraction:
    """The exact price under a contract, in yuan."""
    return price_usage(Meter.GPU_SECONDS, gpu_seconds, terms.gpu_hour_price) + price_usage(
        Meter.TOKENS, tokens, terms.token_price
    )


def has_reached_limit(job: Job) -> bool:
    """Whether a job has to pause until its customer raises what it may cost."""
    reached_cost = job.limit_micros is not None and job.cost_micros >= job.limit_micros
    reached_time = job.limit_gpu_seconds is not None and job.used_gpu_seconds >= job.limit_gpu_seconds
    return reached_cost or reached_time


def find_ceiling(job: Job) -> Money | None:
    """The most that the customer may be charged when more usage comes in; None: all of it.

    The interval that reaches a limit is charged whole. What a run still uses after it, until it has stopped, is not:
    so a limit is never exceeded by more than one interval adds.
    """
    ceilings = [] if job.cap_micros is None else [job.cap_micros]
    if has_reached_limit(job):
        ceilings.append(job.cost_micros)
    return Money(min(ceilings)) if ceilings else None


def raise_limit(job: Job, max_cost: Money) -> None:
    """From now on the customer's own `max_cost` counts, and no longer the quote's limit; a cap stays."""
    job.max_cost_micros = job.limit_micros = max_cost.micros
    job.limit_gpu_seconds = None


def clip_need(job: Job, terms: ContractTerms, gpu_seconds: int, tokens: int) -> tuple[int, int]:
    """What of a need can be charged before the job pauses or its cap is reached: no more has to be held."""
    if job.limit_gpu_seconds is not None:
        gpu_seconds = min(gpu_seconds, max(0, job.limit_gpu_seconds - job.used_gpu_seconds))
    ends = [end for end in (job.limit_micros, job.cap_micros) if end is not None]
    if not ends:
        return gpu_seconds, tokens
    left = Fraction(max(0, min(ends) - job.cost_micros), MICROS_PER_UNIT)
    tokens = min(tokens, _count_units(left, price_need(terms, 0, 1)))
    left -= price_need(terms, 0, tokens)
    return min(gpu_seconds, _count_units(left, price_need(terms, 1, 0))), tokens


def _count_units(money: Fraction, price: Fraction) -> int:
    """Units that reach or pass the sum: a run goes on until its limit is reached. Free units are never the limit."""
    return math.ceil(money / price) if price else 10**18

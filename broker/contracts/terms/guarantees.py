"""What contracts are guaranteed, when, and what that costs; how much of a type is sold at one time. Pure.

A guarantee costs its price for each billing month, whether it is used or not. Of a month of which it holds a part, it
costs that part, to the microsecond; where a cut makes a month longer or shorter, so does the charge follow.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from broker.clock import next_month
from broker.contracts.terms.agreed import GuaranteedGpus
from broker.contracts.terms.model import ContractTerms
from pricing.money import MICROS_PER_UNIT, Money, round_to_fen

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class GuaranteedPeriod:
    """GPUs of one type that a contract is guaranteed from a moment to another; `ends_at` None: without end."""

    guaranteed: GuaranteedGpus
    begins_at: datetime
    ends_at: datetime | None


def list_guaranteed_periods(
    terms: ContractTerms, begins_at: datetime, ends_at: datetime | None
) -> list[GuaranteedPeriod]:
    """List what a contract is guaranteed within a time, by type, the earliest first; nothing if it was cancelled."""
    begins_at = max(begins_at, terms.starts_at)
    ends_at = min((end for end in (ends_at, terms.ends_at) if end is not None), default=None)
    if terms.cancelled_at is not None or (ends_at is not None and ends_at <= begins_at):
        return []
    within = {each.effective_at for each in terms.changes if _is_between(each.effective_at, begins_at, ends_at)}
    periods: list[GuaranteedPeriod] = []
    for begin, end in pairwise([begins_at, *sorted(within), ends_at]):
        assert begin is not None, "the end alone may be missing"
        periods += [GuaranteedPeriod(each, begin, end) for each in terms.at(begin).guaranteed_gpus]
    return _join(periods)


def _is_between(moment: datetime, begins_at: datetime, ends_at: datetime | None) -> bool:
    return begins_at < moment and (ends_at is None or moment < ends_at)


def _join(periods: Iterable[GuaranteedPeriod]) -> list[GuaranteedPeriod]:
    """Join what goes on as it was: an amendment of something else splits nothing."""
    joined: list[GuaranteedPeriod] = []
    for each in sorted(periods, key=lambda period: (period.guaranteed.gpu_type, period.begins_at)):
        last = joined[-1] if joined else None
        if last is not None and (last.guaranteed, last.ends_at) == (each.guaranteed, each.begins_at):
            joined[-1] = replace(last, ends_at=each.ends_at)
        else:
            joined.append(each)
    return joined


def compute_charge(period: GuaranteedPeriod, terms: ContractTerms, month: str) -> Money:
    """Compute what a period within a billing month costs, exactly, rounded once, half-even to the fen."""
    whole = terms.calendar.whole_end(month) - terms.month_start(month)
    assert period.ends_at is not None, "a month has an end"
    share = Fraction((period.ends_at - period.begins_at) // MICROSECOND, whole // MICROSECOND)
    guaranteed = period.guaranteed
    return round_to_fen(Fraction(guaranteed.gpus * guaranteed.price_micros, MICROS_PER_UNIT) * share)


def count_most(periods: Iterable[GuaranteedPeriod]) -> int:
    """Count the most GPUs that are guaranteed at one time, of periods of one type."""
    known = list(periods)
    return max((_count_at(known, period.begins_at) for period in known), default=0)


def is_covered(period: GuaranteedPeriod, by: Iterable[GuaranteedPeriod]) -> bool:
    """Tell whether other periods guarantee at least as many GPUs of its type, at each moment of a period."""
    others = [each for each in by if each.guaranteed.gpu_type == period.guaranteed.gpu_type]
    bounds = {bound for each in others for bound in (each.begins_at, each.ends_at) if bound is not None}
    moments = {period.begins_at} | {each for each in bounds if _is_between(each, period.begins_at, period.ends_at)}
    return all(_count_at(others, moment) >= period.guaranteed.gpus for moment in moments)


def list_guaranteed_months(terms: ContractTerms, now: datetime) -> list[str]:
    """List the billing months, up to that of now, in which something is guaranteed."""
    months: dict[str, None] = {}
    for period in list_guaranteed_periods(terms, terms.starts_at, terms.month_end(terms.billing_month(now))):
        month = terms.billing_month(period.begins_at)
        while period.ends_at is not None and terms.month_start(month) < period.ends_at:
            months[month] = None
            month = next_month(month)
    return list(months)


def _count_at(periods: Iterable[GuaranteedPeriod], moment: datetime) -> int:
    return sum(
        each.guaranteed.gpus
        for each in periods
        if each.begins_at <= moment and (each.ends_at is None or moment < each.ends_at)
    )

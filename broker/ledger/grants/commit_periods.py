"""The periods of a contract's commitment: its term, or years of it, and what each commits to. Pure.

A contract with an end commits for its term; its years, of twelve whole billing months, are periods of their own where
they are trued up yearly. One without an end commits anew for each year, and goes on so where it is ended (decision
0045).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import groupby, pairwise

from broker.clock import local_day, next_month
from broker.contracts.terms.agreed import TrueUpRule
from broker.contracts.terms.commitment_line import SECONDS_PER_HOUR, commits_anew, count_reached, find_commitment_start
from broker.contracts.terms.model import ContractTerms
from pricing.commitment import Attainment

RESOLUTION = timedelta(microseconds=1)


@dataclass(frozen=True)
class CommitPeriod:
    """A time for which a contract has committed to its hours. `last_month` bills its true-up."""

    first_month: str
    last_month: str
    starts_at: datetime
    ends_at: datetime


# GPU-seconds by the billing month that they are of, and whether invoices ask for them.
UsedByMonth = Mapping[tuple[str, bool], int]


@dataclass(frozen=True)
class LostHours:
    """GPU-seconds of a billing month that the house bore as lost by our doing, and that came back at a moment."""

    month: str
    quantity: int
    came_back_at: datetime


def find_last_terms(terms: ContractTerms, period: CommitPeriod, now: datetime) -> ContractTerms:
    """Find the terms by which a period is judged: those with which it ends, or as they are now while it lasts."""
    return terms.at(find_last_moment(period, now))


def find_last_moment(period: CommitPeriod, now: datetime) -> datetime:
    """Find the last moment of a period, or now while it lasts."""
    return max(period.starts_at, min(now, period.ends_at - RESOLUTION))


def list_periods(terms: ContractTerms, moment: datetime) -> list[CommitPeriod]:
    """List the periods of a contract's commitment that have begun by a moment, the latest last."""
    months = _list_years(terms, moment if terms.ends_at is None else terms.ends_at)
    if terms.ends_at is None:
        borders = [terms.month_start(month) for month in months]
    else:
        settling = (month for month in months if _settles(terms, month))
        borders = [*(terms.month_start(month) for month in settling), terms.ends_at]
    periods = [_make_period(terms, begin, end) for begin, end in pairwise([terms.starts_at, *borders])]
    return [periods[0], *(period for period in periods[1:] if period.starts_at <= moment)]


def _list_years(terms: ContractTerms, last: datetime) -> list[str]:
    """List the months with which further years of a contract begin, up to the first that begins after a moment."""
    months = [_add_year(_find_first_whole_month(terms))]
    while terms.month_start(months[-1]) <= last:
        months.append(_add_year(months[-1]))
    return months


def _find_first_whole_month(terms: ContractTerms) -> str:
    """Find the billing month from which years are counted: that of the first day, or the next where it has begun."""
    month = terms.billing_month(terms.starts_at)
    began = local_day(terms.month_start(month), terms.time_zone)
    return month if local_day(terms.starts_at, terms.time_zone) == began else next_month(month)


def _add_year(month: str) -> str:
    return f"{int(month[:4]) + 1}{month[4:]}"


def _settles(terms: ContractTerms, month: str) -> bool:
    """Tell whether a year of a contract with an end, which is over as a month begins, is trued up by itself."""
    begins = terms.month_start(month)
    if terms.ends_at is None or begins >= terms.ends_at:
        return False
    last = terms.at(begins - RESOLUTION)
    return commits_anew(terms) or (last.true_up == TrueUpRule.YEARLY and last.trues_up)


def _make_period(terms: ContractTerms, starts_at: datetime, ends_at: datetime) -> CommitPeriod:
    last_month = terms.billing_month(ends_at - RESOLUTION)
    return CommitPeriod(terms.billing_month(starts_at), last_month, starts_at, ends_at)


@dataclass(frozen=True)
class Judged:
    """A period with how far its commitment is used, at the price of its last moment. `of`: the commitment's start."""

    period: CommitPeriod
    attained: Attainment
    of: datetime


def judge_periods(
    terms: ContractTerms,
    periods: Sequence[CommitPeriod],
    used: UsedByMonth,
    now: datetime,
    lost: Sequence[LostHours] = (),
) -> list[Judged]:
    """Judge how far the commitment of each period is used, by the months that usage is of.

    Hours that came back as lost when their commitment was over could not be used again: they count as used.
    """
    starts = [_find_start(terms, period, now) for period in periods]
    ends = dict(zip(starts, (period.ends_at for period in periods), strict=True))
    judged: list[Judged] = []
    for position, (period, start) in enumerate(zip(periods, starts, strict=True)):
        last = find_last_terms(terms, period, now)
        own = Counter({month: quantity for month, quantity in used.items() if month[1] or not last.trues_up})
        for each in lost:
            if each.came_back_at >= ends[start]:
                own[each.month, True] += each.quantity
        committed = _count_committed(terms, last, period, start)
        price = last.prices_at(find_last_moment(period, now)).per_gpu_hour
        attained = Attainment(committed, count_of(period, own, terms, is_first=position == 0), price)
        judged.append(Judged(period, attained, start))
    return judged


def _find_start(terms: ContractTerms, period: CommitPeriod, now: datetime) -> datetime:
    """Find when the commitment began that a period is of: years that commit anew are each by themselves."""
    return period.starts_at if commits_anew(terms) else find_commitment_start(terms, find_last_moment(period, now))


def count_of(period: CommitPeriod, used: UsedByMonth, terms: ContractTerms, *, is_first: bool) -> int:
    """Count what was used of a period: the first and the last of a contract have what is of before and after it."""
    is_last = terms.ends_at == period.ends_at
    return sum(
        quantity
        for (month, _billable), quantity in used.items()
        if (is_first or month >= period.first_month) and (is_last or month <= period.last_month)
    )


def _count_committed(terms: ContractTerms, last: ContractTerms, period: CommitPeriod, start: datetime) -> int:
    """Count what is committed to in a period: a year that commits anew has all of it. Units: GPU-seconds."""
    if commits_anew(terms):
        return round(last.committed_gpu_hours * SECONDS_PER_HOUR * _find_share(terms, period))
    before = count_reached(terms, period.starts_at) if start < period.starts_at else 0
    return round(count_reached(terms, period.ends_at)) - round(before)


def _find_share(terms: ContractTerms, period: CommitPeriod) -> Fraction:
    """Find which share of its year a period is: all of it but where the contract has ended within it."""
    if terms.ends_at != period.ends_at:
        return Fraction(1)
    year_end = terms.month_start(_list_years(terms, period.starts_at)[-1])
    return Fraction((period.ends_at - period.starts_at) // RESOLUTION, (year_end - period.starts_at) // RESOLUTION)


def find_earlier(judged: Sequence[Judged], position: int) -> list[Attainment]:
    """Find the periods before one that are of the same commitment, the first one first."""
    return [each.attained for each in judged[:position] if each.of == judged[position].of]


def group_by_commitment(judged: Sequence[Judged]) -> list[list[Attainment]]:
    """Group periods by the commitment that they are of."""
    return [[each.attained for each in own] for _start, own in groupby(judged, lambda each: each.of)]

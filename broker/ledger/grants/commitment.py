"""How far contracts have used what they committed to: at any time, and when a period of it is over.

A contract with an end commits for its whole term, one without an end for each twelve whole billing months. What counts
is the usage that its invoices ask for: neither gifts nor hours that were paid ahead.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import func, select

from broker.clock import local_day, next_month, previous_month
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.closed_months import find_closed, get_open_month
from broker.ledger.grants.coverage import read_used_since
from broker.ledger.grants.pace import Pace, find_window_start, make_pace
from broker.ledger.tables import RateCorrection, SegmentTotal
from broker.work import Work
from pricing.commitment import Attainment
from pricing.money import Money
from pricing.usage import Unit

RESOLUTION = timedelta(microseconds=1)


@dataclass(frozen=True)
class CommitPeriod:
    """A time for which a contract has committed to its hours. `last_month` bills its true-up."""

    first_month: str
    last_month: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Commitment:
    """A period's commitment as it stands, and as it will be at this pace. `trues_up`: what is unused is charged."""

    period: CommitPeriod
    attained: Attainment
    expected: Attainment
    pace: Pace
    trues_up: bool

    def charge(self, attained: Attainment) -> Money:
        """Tell what is charged for what is unused: nothing where it was paid ahead."""
        return attained.true_up if self.trues_up else Money.zero()


def trues_up(terms: ContractTerms) -> bool:
    """Tell whether a contract pays in arrears for hours that it committed to: its true-up charges what is unused."""
    return terms.cancelled_at is None and terms.committed_gpu_hours > 0 and not terms.plan_terms.advance


def find_last_terms(terms: ContractTerms, period: CommitPeriod, now: datetime) -> ContractTerms:
    """Find the terms by which a period is judged: those with which it ends, or as they are now while it lasts."""
    return terms.at(_find_last_moment(period, now))


def _find_last_moment(period: CommitPeriod, now: datetime) -> datetime:
    return max(period.starts_at, min(now, period.ends_at - RESOLUTION))


def list_periods(terms: ContractTerms, moment: datetime) -> list[CommitPeriod]:
    """List the periods of a contract's commitment that have begun by a moment, the latest last."""
    first = terms.billing_month(terms.starts_at)
    if terms.ends_at is not None:
        return [CommitPeriod(first, _find_last_month(terms, terms.ends_at), terms.starts_at, terms.ends_at)]
    borders = [_find_first_whole_month(terms)]
    while len(borders) == 1 or terms.month_start(borders[-1]) <= moment:
        borders.append(_add_year(borders[-1]))
    years = [_make_year(terms, begin, end) for begin, end in pairwise(borders)]
    return [replace(years[0], first_month=first, starts_at=terms.starts_at), *years[1:]]


def _find_first_whole_month(terms: ContractTerms) -> str:
    """Find the billing month from which years are counted: that of the first day, or the next where it has begun."""
    month = terms.billing_month(terms.starts_at)
    began = local_day(terms.month_start(month), terms.time_zone)
    return month if local_day(terms.starts_at, terms.time_zone) == began else next_month(month)


def _find_last_month(terms: ContractTerms, ends_at: datetime) -> str:
    """Find the billing month under way just before an end."""
    month = terms.billing_month(ends_at)
    return previous_month(month) if terms.month_start(month) == ends_at else month


def _make_year(terms: ContractTerms, begin: str, end: str) -> CommitPeriod:
    return CommitPeriod(begin, previous_month(end), terms.month_start(begin), terms.month_start(end))


def _add_year(month: str) -> str:
    return f"{int(month[:4]) + 1}{month[4:]}"


async def read_commitment(work: Work, contract_id: str) -> Commitment:
    """Read how far a contract has used its commitment of the period under way, or of its last. Raises: NotFound."""
    terms = await contracts.get_contract(work, contract_id)
    period = list_periods(terms, work.now)[-1]
    attained = await read_attainment(work, terms, period)
    since = max(period.starts_at, find_window_start(period.starts_at, work.now))
    lately = await read_used_since(work, terms, since)
    pace = make_pace(lately.get(Unit.GPU_SECONDS, 0), period.starts_at, work.now)
    rest = int((period.ends_at - max(work.now, period.starts_at)).total_seconds())
    expected = attained.expect(pace.project(rest))
    return Commitment(period, attained, expected, pace, trues_up(find_last_terms(terms, period, work.now)))


async def read_attainment(work: Work, terms: ContractTerms, period: CommitPeriod) -> Attainment:
    """Read how far the commitment of a period is used. A whole term counts all that the contract was ever billed."""
    last = find_last_terms(terms, period, work.now)
    used = await _count(work, last, period, SegmentTotal) - await _count(work, last, period, RateCorrection)
    price = last.prices_at(_find_last_moment(period, work.now)).per_gpu_hour
    return Attainment(last.committed_gpu_hours * 3600, used, price)


async def _count(
    work: Work, terms: ContractTerms, period: CommitPeriod, table: type[SegmentTotal | RateCorrection]
) -> int:
    """Count the GPU-seconds that a period's invoices bill, or those that they take back of closed months."""
    query = select(func.coalesce(func.sum(table.quantity), 0)).where(
        table.contract_id == terms.id, table.unit == Unit.GPU_SECONDS.value
    )
    if trues_up(terms):
        query = query.where(table.billable)
    if terms.ends_at is None:
        query = query.where(table.month.between(period.first_month, period.last_month))
    return int(await work.session.scalar(query) or 0)


async def list_ended_commitments(work: Work, terms: ContractTerms, month: str) -> list[Commitment]:
    """List the commitments of a contract whose periods are over, where a billing month is the one to true them up.

    That is the first month that is still open, from the last month of the latest period on.
    """
    over = _list_charged(terms, work.now)
    if not over or await get_open_month(work, terms.id, over[-1].last_month) != month:
        return []
    return [_as_it_is(period, await read_attainment(work, terms, period)) for period in over]


async def list_true_up_months(work: Work) -> list[tuple[str, str]]:
    """List contract and billing month of all true-ups that are due, whether or not anything else is billed there.

    How far a commitment is used is read of those alone whose month is not closed: its invoice has settled the others.
    """
    over = [
        (terms, period) for terms in await contracts.list_committed(work) for period in _list_charged(terms, work.now)
    ]
    closed = await find_closed(work, [(terms.id, period.last_month) for terms, period in over])
    return [
        (terms.id, period.last_month)
        for terms, period in over
        if (terms.id, period.last_month) not in closed and (await read_attainment(work, terms, period)).unused
    ]


def _list_charged(terms: ContractTerms, now: datetime) -> list[CommitPeriod]:
    """List the periods that are over and that charge for what is unused of them."""
    over = [each for each in list_periods(terms, now) if each.ends_at <= now]
    return [each for each in over if trues_up(find_last_terms(terms, each, now))]


def _as_it_is(period: CommitPeriod, attained: Attainment) -> Commitment:
    return Commitment(period, attained, expected=attained, pace=Pace(0, 1), trues_up=True)

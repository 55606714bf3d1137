"""Captures: usage charged to a job's hold as it is reported."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from broker.ledger.books.closed_months import BilledMonth
from broker.ledger.books.model import UsageInterval
from broker.ledger.capturing.booking import open_booking
from broker.ledger.capturing.charges import Charge, group_intervals
from broker.ledger.holding.hold_legs import HoldView
from broker.ledger.holding.holds import roll_hold
from broker.ledger.holding.legs import OpenGrants, price_uncommitted
from broker.ledger.rating.charge_limit import NOTHING_PROMISED, Promise
from broker.work import Work
from pricing.money import Money
from pricing.usage import Usage


@dataclass(frozen=True)
class Captured:
    """What all of a job's usage up to now costs its customer, and what the house bears of it."""

    cost: Money
    borne: Money
    borne_usage: Usage


async def capture_usage(
    work: Work, view: HoldView, intervals: Sequence[UsageInterval], *, promise: Promise = NOTHING_PROMISED
) -> Captured:
    """Charge intervals of one run, and write it; `charge_usage` says how."""
    captured = await charge_usage(work, view, intervals, promise=promise)
    await view.books.write()
    return captured


async def charge_usage(
    work: Work, view: HoldView, intervals: Sequence[UsageInterval], *, promise: Promise = NOTHING_PROMISED
) -> Captured:
    """Charge intervals of one run, in their order, to a locked hold, which is extended by what it does not cover.

    It is in the contract's books then, which are to be written once all usage that came together is charged.

    Usage has happened when it is reported, so it is always booked. What keeps every promise (the job's, the month's
    budget, a contract that blocks overage, a contract's end) is charged to the customer; the rest is borne, because it
    is over a promise. There is one transfer for each month, price and checkpoint segment, however many intervals come.
    """
    grants, now = await view.books.read_grants(), work.now
    months = await _find_months(view, intervals, now)
    described: dict[datetime, Hashable] = {}

    def describe(interval: UsageInterval) -> Hashable:
        moment = _moment_of(interval, now)
        if moment not in described:
            described[moment] = _describe_moment(view, grants, moment)
        return described[moment], months[interval.sequence]

    def find_months(charge: Charge) -> BilledMonth:
        return months[charge.last.sequence]

    for billed, charges in groupby(group_intervals(intervals, describe), find_months):
        await roll_hold(work, view, billed.billed)
        booking = await open_booking(work, view, promise, billed)
        for charge in charges:
            await booking.put(charge, _moment_of(charge.last, now))
        await booking.close()
    return count_captured(view)


def count_captured(view: HoldView) -> Captured:
    """Count what all that was captured so far costs, and what the house bears of it."""
    return Captured(view.cost_so_far(), view.borne_so_far(), view.borne_usage())


def _moment_of(interval: UsageInterval, now: datetime) -> datetime:
    """Tell when an interval ended: never later than now, whatever the worker's clock says."""
    return min(interval.ended_at, now)


def _describe_moment(view: HoldView, grants: OpenGrants, moment: datetime) -> Hashable:
    """Tell what usage at a moment is charged to and at which prices, to see whether it changes between intervals."""
    terms = view.terms
    origins = view.origins_at(moment).values()
    closed = [(grants.list_closed(origin, moment), price_uncommitted(terms, origin, moment)) for origin in origins]
    return terms.ends_before(moment), *closed, terms.at(moment).overage, terms.prices_at(moment)


async def _find_months(view: HoldView, intervals: Sequence[UsageInterval], now: datetime) -> dict[int, BilledMonth]:
    """Find the month that bills each interval, by its sequence: the first open one from that in which it ended."""
    used_in = {each.sequence: view.terms.billing_month(_moment_of(each, now)) for each in intervals}
    billed_in = {month: await view.books.find_billed_month(month) for month in sorted(set(used_in.values()))}
    return {sequence: billed_in[month] for sequence, month in used_in.items()}

"""What contracts spend day by day: usage at the prices that it was charged by, with what grants have paid of it."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from sqlalchemy import ARRAY, Date, Text, any_, cast, func, literal, select

from broker.clock import billing_month, local_day
from broker.ledger.rating.charge_limit import RateSegment
from broker.ledger.tables import Capture
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit


@dataclass(frozen=True)
class DaySpend:
    """What was spent on a day, before tax: in all, and of it what grants that were paid ahead or given have paid."""

    day: date
    total: Money
    by_grants: Money


async def read_spend(
    work: Work, contract_ids: Collection[str], *, days: int, time_zone: str, until: datetime | None = None
) -> list[DaySpend]:
    """Read what some contracts spent on each of the last days, today the last, one without any as zero.

    It is by when usage was charged, at the prices that it was charged by; each day is rounded once, to a micro-yuan.
    """
    last = local_day(until or work.now, time_zone)
    first = last - timedelta(days=days - 1)
    on = cast(func.timezone(time_zone, Capture.created_at), Date)
    paid = Capture.grant_id.is_not(None) & ~Capture.billable
    query = (
        select(on, Capture.unit, Capture.unit_price, paid, func.sum(Capture.quantity))
        .where(
            Capture.contract_id == any_(literal(sorted(contract_ids), ARRAY(Text))),
            Capture.month >= billing_month(work.now - timedelta(days=days + 31), time_zone),
            on.between(first, last),
            ~Capture.borne,
        )
        .group_by(on, Capture.unit, Capture.unit_price, paid)
    )
    sums: defaultdict[tuple[date, bool], Fraction] = defaultdict(Fraction)
    for day, unit, price, by_grant, quantity in await work.session.execute(query):
        sums[day, by_grant] += RateSegment(Unit(unit), price, True, "", None).price(int(quantity))
    return [_make_day(first + timedelta(days=number), sums) for number in range(days)]


def _make_day(day: date, sums: defaultdict[tuple[date, bool], Fraction]) -> DaySpend:
    by_grants = sums[day, True]
    return DaySpend(day, Money.from_exact(sums[day, False] + by_grants), Money.from_exact(by_grants))

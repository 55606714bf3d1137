"""What contracts spend day by day: usage at the prices that it was charged by, with what grants have paid of it.

Captures are records, and a day that is over gets no more of them. So what it came to is worked out once, and kept by
the process; a page that looks again reads those of today alone.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, Date, Text, any_, cast, func, literal, select

from broker.clock import billing_month, local_day
from broker.ledger.rating.charge_limit import RateSegment
from broker.ledger.tables import Capture
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit

# So long after its end a day is kept: what was charged at its very end is committed by then.
SETTLES = timedelta(hours=1)
# Usage is billed by its own month or a later one that is open; what is charged now is in one of these.
LATE_MONTHS = timedelta(days=62)
Sums = Mapping[tuple[date, bool], Fraction]


@dataclass(frozen=True)
class DaySpend:
    """What was spent on a day, before tax: in all, and of it what grants that were paid ahead or given have paid."""

    day: date
    total: Money
    by_grants: Money


@dataclass(frozen=True)
class PastSpend:
    """What was spent up to a day and with it, by day and by whether a grant has paid. Units: yuan, exact."""

    first: date
    last: date
    sums: Sums


async def read_spend(work: Work, contract_ids: Collection[str], *, days: int, time_zone: str) -> list[DaySpend]:
    """Read what some contracts spent on each of the last days, today the last, one without any as zero.

    It is by when usage was charged, at the prices that it was charged by; each day is rounded once, to a micro-yuan.
    """
    by_contract = await read_spend_by_contract(work, contract_ids, days=days, time_zone=time_zone)
    return add_up_spend(list(by_contract.values()), work.now, days=days, time_zone=time_zone)


def add_up_spend(parts: Sequence[Sequence[DaySpend]], now: datetime, *, days: int, time_zone: str) -> list[DaySpend]:
    """Add up what several contracts spent on the same days. Pure."""
    last = local_day(now, time_zone)
    empty = [DaySpend(last - timedelta(days=days - 1 - number), Money.zero(), Money.zero()) for number in range(days)]
    return [
        DaySpend(
            each.day,
            sum((part[place].total for part in parts), Money.zero()),
            sum((part[place].by_grants for part in parts), Money.zero()),
        )
        for place, each in enumerate(empty)
    ]


async def read_spend_by_contract(
    work: Work, contract_ids: Collection[str], *, days: int, time_zone: str
) -> dict[str, list[DaySpend]]:
    """Read what each of some contracts spent on each of the last days, as `read_spend` does."""
    return {each: await _read_contract(work, each, days, time_zone) for each in sorted(contract_ids)}


async def _read_contract(work: Work, contract_id: str, days: int, time_zone: str) -> list[DaySpend]:
    today = local_day(work.now, time_zone)
    first, settled = today - timedelta(days=days - 1), local_day(work.now - SETTLES, time_zone) - timedelta(days=1)
    past = await _read_past(work, contract_id, first, settled, time_zone)
    since = settled + timedelta(days=1)
    sums = {**past, **await _read_sums(work, contract_id, since, today, time_zone)}
    return [_make_day(first + timedelta(days=number), sums) for number in range(days)]


async def _read_past(work: Work, contract_id: str, first: date, last: date, time_zone: str) -> Sums:
    """Read what was spent on days that are over, or recall it: nothing is charged on them any more."""
    name, cache = f"{contract_id} {time_zone}", work.services.rows
    known = cache.find(PastSpend, name)
    if known is not None and known.first <= first and known.last == last:
        return known.sums
    sums = await _read_sums(work, contract_id, first, last, time_zone)
    cache.keep(name, PastSpend(first, last, sums))
    return sums


async def _read_sums(work: Work, contract_id: str, first: date, last: date, time_zone: str) -> Sums:
    zone = ZoneInfo(time_zone)
    begin, end = (datetime.combine(day, time(), zone) for day in (first, last + timedelta(days=1)))
    on = cast(func.timezone(time_zone, Capture.created_at), Date)
    paid = Capture.grant_id.is_not(None) & ~Capture.billable
    months = sorted({billing_month(begin - LATE_MONTHS + timedelta(days=step), time_zone) for step in range(0, 160, 7)})
    query = (
        select(on, Capture.unit, Capture.unit_price, paid, func.sum(Capture.quantity))
        .where(
            Capture.contract_id == contract_id,
            Capture.month == any_(literal(months, ARRAY(Text))),
            Capture.created_at >= begin,
            Capture.created_at < end,
            ~Capture.borne,
        )
        .group_by(on, Capture.unit, Capture.unit_price, paid)
    )
    sums: defaultdict[tuple[date, bool], Fraction] = defaultdict(Fraction)
    for day, unit, price, by_grant, quantity in await work.session.execute(query):
        sums[day, by_grant] += RateSegment(Unit(unit), price, True, "", None).price(int(quantity))
    return dict(sums)


def _make_day(day: date, sums: Sums) -> DaySpend:
    by_grants = sums.get((day, True), Fraction(0))
    return DaySpend(day, Money.from_exact(sums.get((day, False), Fraction(0)) + by_grants), Money.from_exact(by_grants))

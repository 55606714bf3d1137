"""What contracts used within spans of time: days that are over are added up once, and kept by the process.

Captures are records, and a day that is over gets no more of them. So whoever looks again at how fast contracts use
what they bought has the days of before at hand, and reads the rest alone: today, and the days in which spans begin or
end.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

from sqlalchemy import text

from broker.clock import billing_month
from broker.work import Work

DAY = timedelta(days=1)
# So long after its end a day is kept: what was charged at its very end is committed by then.
SETTLES = timedelta(hours=1)
# So many days are kept at least, whatever was asked for: twelve weeks, and the day in which they begin.
KEPT = timedelta(days=91)
# Usage is billed by its own month or a later one that is open; what is charged now is in one of these.
LATE = timedelta(days=62)
# A span that goes on ends so long after now: the clock of another process may be a little ahead.
AHEAD = timedelta(hours=1)

OF_DAYS = text("""
    SELECT p.id, date_trunc('day', c.created_at, 'UTC') AS day, c.month, c.unit, c.grant_id, c.borne, sum(c.quantity)
    FROM unnest(CAST(:ids AS text[]), CAST(:months AS text[]), CAST(:begins AS timestamptz[])) AS p (id, month, begins)
    JOIN captures c ON c.contract_id = p.id AND c.month >= p.month AND c.created_at >= p.begins AND c.created_at < :ends
    GROUP BY 1, 2, 3, 4, 5, 6""")
# Each part of a day by the index on contract, month and moment: a plan that reads whole months costs what is saved.
OF_PARTS = text("""
    SELECT p.number, u.*
    FROM unnest(CAST(:numbers AS bigint[]), CAST(:ids AS text[]), CAST(:months AS text[]),
                CAST(:begins AS timestamptz[]), CAST(:ends AS timestamptz[])) AS p (number, id, month, begins, ends)
    CROSS JOIN LATERAL (
        SELECT c.month, c.unit, c.grant_id, c.borne, sum(c.quantity) FROM captures c
        WHERE c.contract_id = p.id AND c.month = p.month AND c.created_at >= p.begins AND c.created_at < p.ends
        GROUP BY 1, 2, 3, 4) AS u""")


class Use(NamedTuple):
    """What usage is told apart by: the month that bills it, its meter, the grant that paid, and whether we bear it."""

    month: str
    unit: str
    grant_id: str | None
    borne: bool


@dataclass(frozen=True)
class Span:
    """A time of a contract: from its beginning up to its end, which is none of it."""

    contract_id: str
    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class PastUse:
    """What a contract used on each day (UTC) from `first` up to `end`, which is none of them; days without use miss."""

    first: datetime
    end: datetime
    days: Mapping[datetime, Counter[Use]]


class Part(NamedTuple):
    """What of a span, by its number, is in no day that is kept."""

    number: int
    begins_at: datetime
    ends_at: datetime


async def read_use(work: Work, spans: Sequence[Span]) -> list[Counter[Use]]:
    """Read what was used in each of some spans, in two statements at most. Units: those of the meters.

    What a month bills that was over two months before the contract's earliest span is left out: it tells no pace.
    """
    if not spans:
        return []
    settled = find_midnight(work.now - SETTLES)
    firsts: dict[str, datetime] = {}
    for span in spans:
        firsts[span.contract_id] = min(span.begins_at, firsts.get(span.contract_id, span.begins_at))
    past = await _recall_days(work, firsts, settled)
    sums = [add_up_days(past[span.contract_id].days, span, settled) for span in spans]
    parts = [part for number, span in enumerate(spans) for part in cut_parts(number, span, settled)]
    for number, *used, quantity in await _read_parts(work, spans, parts, firsts):
        sums[number][Use(*used)] += int(quantity)
    return sums


def find_midnight(moment: datetime) -> datetime:
    """Find the beginning of the day (UTC) that a moment is in. Pure."""
    return datetime.combine(moment.astimezone(UTC).date(), time(), UTC)


def cut_parts(number: int, span: Span, settled: datetime) -> Iterator[Part]:
    """Cut off a span what is no whole day that is over. Pure."""
    first, end = _find_whole_days(span, settled)
    if first >= end:
        yield Part(number, span.begins_at, span.ends_at)
        return
    if span.begins_at < first:
        yield Part(number, span.begins_at, first)
    if end < span.ends_at:
        yield Part(number, end, span.ends_at)


def _find_whole_days(span: Span, settled: datetime) -> tuple[datetime, datetime]:
    first = find_midnight(span.begins_at)
    return first if first == span.begins_at else first + DAY, min(find_midnight(span.ends_at), settled)


def add_up_days(days: Mapping[datetime, Counter[Use]], span: Span, settled: datetime) -> Counter[Use]:
    """Add up the whole days of a span that are over. Pure."""
    first, end = _find_whole_days(span, settled)
    sums: Counter[Use] = Counter()
    for day, used in days.items():
        if first <= day < end:
            sums.update(used)
    return sums


async def _recall_days(work: Work, firsts: Mapping[str, datetime], settled: datetime) -> dict[str, PastUse]:
    """Recall the days of contracts that are over; those that are not kept yet are read, and kept."""
    cache = work.services.rows
    known = {each: cache.find(PastUse, each) or PastUse(settled, settled, {}) for each in firsts}
    missing: dict[str, tuple[datetime, PastUse]] = {}
    for contract_id, begins_at in firsts.items():
        past, first = known[contract_id], min(find_midnight(begins_at), settled - KEPT)
        if first < past.first:
            missing[contract_id] = first, PastUse(first, settled, {})
        elif past.end < settled:
            missing[contract_id] = past.end, PastUse(past.first, settled, past.days)
    if missing:
        read = await _read_days(work, {each: first for each, (first, _past) in missing.items()}, settled)
        for contract_id, (_first, past) in missing.items():
            days = {**past.days, **read.get(contract_id, {})}
            known[contract_id] = cache.keep(contract_id, PastUse(past.first, settled, days))
    return known


async def _read_days(
    work: Work, firsts: Mapping[str, datetime], settled: datetime
) -> Mapping[str, Mapping[datetime, Counter[Use]]]:
    months = [find_first_month(first) for first in firsts.values()]
    told = {"ids": list(firsts), "months": months, "begins": list(firsts.values()), "ends": settled}
    days: defaultdict[str, defaultdict[datetime, Counter[Use]]] = defaultdict(lambda: defaultdict(Counter))
    for contract_id, day, *used, quantity in await work.session.execute(OF_DAYS, told):
        days[contract_id][day.astimezone(UTC)][Use(*used)] += int(quantity)
    return days


def find_first_month(moment: datetime) -> str:
    """Find the first month that may bill what is charged from a moment on. Pure."""
    return billing_month(moment - LATE, "UTC")


async def _read_parts(
    work: Work, spans: Sequence[Span], parts: Iterable[Part], firsts: Mapping[str, datetime]
) -> Sequence[Any]:
    rows = [
        (number, spans[number].contract_id, month, begins_at, ends_at)
        for number, begins_at, ends_at in parts
        for month in list_months(firsts[spans[number].contract_id] - LATE, ends_at + DAY)
    ]
    names = ("numbers", "ids", "months", "begins", "ends")
    told = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    return (await work.session.execute(OF_PARTS, told)).all() if rows else []


def list_months(begins_at: datetime, ends_at: datetime) -> list[str]:
    """List the months from the one of a moment to that of another, both with them. Pure."""
    first, last = begins_at.astimezone(UTC), ends_at.astimezone(UTC)
    count = 12 * (last.year - first.year) + last.month - first.month + 1
    places = (first.month - 1 + number for number in range(count))
    return [f"{first.year + place // 12}-{place % 12 + 1:02}" for place in places]

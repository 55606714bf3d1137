"""Reading what was captured: what was used, by month, for invoices and reports, as invoices have it."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from operator import itemgetter
from typing import Any

from sqlalchemy import func, literal, select, union

from broker.ledger.books.causes import Cause
from broker.ledger.tables import Capture, LineTotal, RateCorrection, SegmentTotal
from broker.persistence.membership import is_one_of
from broker.work import Work
from pricing.money import Money
from pricing.rating import price_usage
from pricing.rounding import ExactLine, round_segment
from pricing.usage import Unit, Usage

CORRECTED_COLUMNS = (
    "contract_id",
    "job_id",
    "corrected_month",
    "used_month",
    "unit",
    "unit_price",
    "billable",
    "rate_card_version",
)


@dataclass(frozen=True)
class CapturedUsage:
    """What one job used in a month of one meter at one price. Units: GPU-seconds or tokens; yuan per GPU-hour or token.

    `billable` is false where an advance has paid for it, or the house bears it, for a `cause`. `amount` is its line on
    an invoice: its share of the rate segment, which is rounded once. `used_month` is the month that it is of: an
    earlier one where that was closed before it came. `corrects`: it takes back, below zero, of this closed month's.
    """

    contract_id: str
    job_id: str
    meter: Unit
    quantity: int
    unit_price: Decimal
    billable: bool
    rate_card_version: str
    amount: Money
    used_month: str
    cause: Cause | None = None
    corrects: str | None = None


async def list_captured_usage(
    work: Work, month: str, *, contract_ids: Collection[str] | None = None
) -> list[CapturedUsage]:
    """List what customers pay for in a billing month: by job, meter and price, in a fixed order; None: of all."""
    query = select(LineTotal).where(LineTotal.month == month, LineTotal.quantity > 0)
    if contract_ids is not None:
        query = query.where(is_one_of(LineTotal.contract_id, contract_ids))
    rows = await work.session.execute(query.with_only_columns(*LineTotal.__table__.columns))
    return _share_by_segment((row, row.leads, None) for row in rows)


async def has_many_lines(work: Work, contract_id: str, month: str, *, most: int) -> bool:
    """Tell whether a contract's month has more lines than this, without counting them all."""
    lines = select(literal(1)).where(LineTotal.contract_id == contract_id, LineTotal.month == month).limit(most + 1)
    return int(await work.session.scalar(select(func.count()).select_from(lines.subquery())) or 0) > most


async def list_corrections(
    work: Work, month: str, *, contract_ids: Collection[str] | None = None
) -> list[CapturedUsage]:
    """List what a billing month takes back of closed months: by job, meter, price and closed month; None: of all."""
    group = [getattr(RateCorrection, name) for name in CORRECTED_COLUMNS]
    sums = (func.sum(RateCorrection.quantity).label("quantity"), func.sum(RateCorrection.amount_micros).label("micros"))
    query = select(*group, *sums).where(RateCorrection.month == month).group_by(*group).order_by(*group)
    if contract_ids is not None:
        query = query.where(is_one_of(RateCorrection.contract_id, contract_ids))
    return [_to_correction(row) for row in await work.session.execute(query)]


def _to_correction(row: Any) -> CapturedUsage:
    return CapturedUsage(
        contract_id=row.contract_id,
        job_id=row.job_id,
        meter=Unit(row.unit),
        quantity=-int(row.quantity),
        unit_price=row.unit_price,
        billable=row.billable,
        rate_card_version=row.rate_card_version,
        amount=Money(-int(row.micros)),
        used_month=row.used_month,
        corrects=row.corrected_month,
    )


async def list_borne_usage(
    work: Work, month: str, *, contract_ids: Collection[str] | None = None
) -> list[CapturedUsage]:
    """List what the house bears in a billing month: by job, meter, price and cause, in a fixed order; None: of all."""
    group = (
        Capture.contract_id,
        Capture.job_id,
        Capture.used_month,
        Capture.unit,
        Capture.unit_price,
        Capture.billable,
        Capture.rate_card_version,
        Capture.cause,
    )
    query = select(*group, func.sum(Capture.quantity).label("quantity")).where(Capture.month == month, Capture.borne)
    if contract_ids is not None:
        query = query.where(is_one_of(Capture.contract_id, contract_ids))
    rows = await work.session.execute(query.group_by(*group))
    return _share_by_segment((row, False, Cause(row.cause)) for row in rows)


@dataclass(frozen=True)
class BorneUsage:
    """What the house bears of a job for one cause, and its price at the contract's rates."""

    usage: Usage
    price: Money


async def read_borne_by_cause(work: Work, job_id: str) -> dict[Cause, BorneUsage]:
    """Read what the house bears of a job in all months, by cause; what was borne and taken back again is left out."""
    group = (Capture.cause, Capture.unit, Capture.unit_price)
    query = select(*group, func.sum(Capture.quantity)).where(Capture.job_id == job_id, Capture.borne).group_by(*group)
    counts: defaultdict[Cause, Counter[Unit]] = defaultdict(Counter)
    prices: defaultdict[Cause, Fraction] = defaultdict(Fraction)
    for name, unit, unit_price, quantity in await work.session.execute(query):
        cause = Cause(name or "")
        counts[cause][Unit(unit)] += int(quantity)
        prices[cause] += price_usage(Unit(unit), int(quantity), unit_price)
    return {
        cause: BorneUsage(Usage(count[Unit.GPU_SECONDS], count[Unit.TOKENS]), Money.from_exact(prices[cause]))
        for cause, count in sorted(counts.items())
        if count.total()
    }


def _share_by_segment(rows: Iterable[tuple[Any, bool, Cause | None]]) -> list[CapturedUsage]:
    """Round each segment once and share it among its lines: equal remainders are lifted in the order of job ids."""
    segments: defaultdict[tuple[Any, ...], list[tuple[Any, bool]]] = defaultdict(list)
    for row, leads, cause in rows:
        segments[row.contract_id, row.used_month, row.unit, row.unit_price, row.billable, cause].append((row, leads))
    lines: list[CapturedUsage] = []
    for key, members in segments.items():
        members.sort(key=lambda member: (member[0].job_id, member[0].rate_card_version))
        exact = [ExactLine(_price(row), leads) for row, leads in members]
        shares = zip(members, round_segment(exact), strict=True)
        lines += [_to_usage(row, amount, cause=key[-1]) for (row, _leads), amount in shares]
    return sorted(lines, key=_order_of_lines)


def _order_of_lines(line: CapturedUsage) -> tuple[Any, ...]:
    return line.contract_id, line.job_id, line.used_month, line.meter, line.unit_price, line.billable


def _price(row: Any) -> Fraction:
    """Price a sum; one below zero takes back more than its month bore."""
    quantity = int(row.quantity)
    price = price_usage(Unit(row.unit), abs(quantity), row.unit_price)
    return price if quantity >= 0 else -price


def _to_usage(row: Any, amount: Money, *, cause: Cause | None) -> CapturedUsage:
    return CapturedUsage(
        contract_id=row.contract_id,
        job_id=row.job_id,
        meter=Unit(row.unit),
        quantity=int(row.quantity),
        unit_price=row.unit_price,
        billable=row.billable,
        rate_card_version=row.rate_card_version,
        amount=amount,
        used_month=row.used_month,
        cause=cause,
    )


async def list_months(work: Work) -> list[tuple[str, str]]:
    """List contract and billing month of all usage that customers pay for, or get taken back."""
    query = union(
        select(SegmentTotal.contract_id, SegmentTotal.month), select(RateCorrection.contract_id, RateCorrection.month)
    )
    return sorted(
        ((contract_id, month) for contract_id, month in await work.session.execute(query)), key=itemgetter(1, 0)
    )

"""Corrections of closed months: what is taken back of a line that a final invoice has, on a later month's invoice.

Beside them credit notes give back of such a line, and write-offs give it up: together never more than it asks for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import func, insert, select

from broker.ledger.rating.usage import CapturedUsage, list_captured_usage
from broker.ledger.tables import Capture, LineTotal, RateCorrection
from broker.persistence.set_writes import command_additions
from broker.work import Work
from pricing.money import Money
from pricing.rounding import InvoicedLine, share_taken_back
from pricing.usage import Unit

CORRECTED_LINE = ("used_month", "unit", "unit_price", "billable")


class LinePlace(NamedTuple):
    """What tells the lines of a month's usage from each other that its invoice asks for."""

    job_id: str
    used_month: str
    meter: Unit
    unit_price: Decimal


async def correct_closed_month(work: Work, capture: Capture, quantity: int, *, billed_by: str) -> None:
    """Let an open month's invoice take back what a final one charged for so many units of a capture.

    The caller holds the contract's lock. Units: GPU-seconds or tokens.
    """
    line = await _find_line(work, capture)
    amount, credited = share_taken_back(line, quantity), line.credited or Money.zero()
    columns = ("customer_id", "contract_id", "job_id", *CORRECTED_LINE, "rate_card_version")
    row = {name: getattr(capture, name) for name in columns}
    own = {"month": billed_by, "corrected_month": capture.month, "created_at": work.now}
    await work.session.execute(
        insert(RateCorrection),
        [row | own | {"quantity": quantity, "amount_micros": amount.micros, "credited_micros": credited.micros}],
    )


async def _find_line(work: Work, capture: Capture) -> InvoicedLine:
    """Find the line that has a capture, as its closed month's invoice rounded it, and what came back of it before."""
    lines = await list_captured_usage(work, capture.month, contract_ids=[capture.contract_id])
    line = next(line for line in lines if _has(line, capture))
    taken_back, credited = await _count_taken_back(work, capture), await _read_credited(work, capture)
    return InvoicedLine(line.quantity, line.amount, taken_back, credited)


def _has(line: CapturedUsage, capture: Capture | RateCorrection) -> bool:
    described = (capture.job_id, capture.used_month, Unit(capture.unit), capture.unit_price, capture.billable)
    return (line.job_id, line.used_month, line.meter, line.unit_price, line.billable) == described


async def _count_taken_back(work: Work, capture: Capture) -> int:
    query = select(func.coalesce(func.sum(RateCorrection.quantity), 0)).where(
        RateCorrection.job_id == capture.job_id,
        RateCorrection.corrected_month == capture.month,
        *(getattr(RateCorrection, name) == getattr(capture, name) for name in CORRECTED_LINE),
    )
    return int(await work.session.scalar(query) or 0)


async def _read_credited(work: Work, capture: Capture) -> Money:
    own = (getattr(LineTotal, name) == getattr(capture, name) for name in ("job_id", "month", *CORRECTED_LINE))
    return Money(int(await work.session.scalar(select(LineTotal.credited_micros).where(*own)) or 0))


async def note_credits(work: Work, month: str, given: Iterable[tuple[LinePlace, Money]]) -> None:
    """Note what of a closed month's lines is given back, or given up. The caller holds the contract's lock."""
    sums: Counter[LinePlace] = Counter()
    for place, amount in given:
        sums[place] += amount.micros
    rows = [
        {
            "job_id": place.job_id,
            "month": month,
            "used_month": place.used_month,
            "unit": place.meter.value,
            "unit_price": place.unit_price,
            "billable": True,
            "credited_micros": micros,
        }
        for place, micros in sorted(sums.items())
        if micros
    ]
    await work.run_together(command_additions(LineTotal, "credited_micros", rows))


async def read_taken_back(work: Work, contract_id: str, month: str) -> Mapping[LinePlace, Money]:
    """Read what later months' invoices take back of the lines that a closed month's invoice asks for."""
    of_line = (RateCorrection.job_id, RateCorrection.used_month, RateCorrection.unit, RateCorrection.unit_price)
    query = select(*of_line, func.sum(RateCorrection.amount_micros)).where(
        RateCorrection.contract_id == contract_id, RateCorrection.corrected_month == month, RateCorrection.billable
    )
    rows = await work.session.execute(query.group_by(*of_line))
    return {LinePlace(job, used, Unit(unit), price): Money(int(micros)) for job, used, unit, price, micros in rows}


@dataclass(frozen=True)
class Return:
    """So many units of a closed month's line that came back at once; `before`: those that had come back by then.

    Units: GPU-seconds or tokens. `line` is how that month's invoice has the line; `credited` what of it was credited
    or given up by then.
    """

    job_id: str
    meter: Unit
    unit_price: Decimal
    billable: bool
    used_month: str
    rate_card_version: str
    corrected_month: str
    before: int
    quantity: int
    amount: Money
    line: InvoicedLine
    credited: Money


async def list_returns(work: Work, contract_id: str, month: str) -> list[Return]:
    """List what a month takes back of closed ones, each time by itself, in the order in which it came."""
    own = [RateCorrection.job_id, RateCorrection.corrected_month, *(getattr(RateCorrection, n) for n in CORRECTED_LINE)]
    earlier = func.sum(RateCorrection.quantity).over(partition_by=own, order_by=RateCorrection.id, rows=(None, -1))
    counted = select(RateCorrection, func.coalesce(earlier, 0).label("before")).where(
        RateCorrection.contract_id == contract_id
    )
    rows = (await work.session.execute(counted.order_by(RateCorrection.id))).all()
    own_rows = [(row, int(before)) for row, before in rows if row.month == month]
    closed = {row.corrected_month for row, _before in own_rows}
    lines = {each: await list_captured_usage(work, each, contract_ids=[contract_id]) for each in sorted(closed)}
    return [_to_return(row, before, lines[row.corrected_month]) for row, before in own_rows]


def _to_return(row: RateCorrection, before: int, lines: Sequence[CapturedUsage]) -> Return:
    line = next(line for line in lines if _has(line, row))
    return Return(
        job_id=row.job_id,
        meter=Unit(row.unit),
        unit_price=row.unit_price,
        billable=row.billable,
        used_month=row.used_month,
        rate_card_version=row.rate_card_version,
        corrected_month=row.corrected_month,
        before=before,
        quantity=row.quantity,
        amount=Money(row.amount_micros),
        line=InvoicedLine(line.quantity, line.amount),
        credited=Money(row.credited_micros),
    )


async def read_corrected(work: Work, contract_id: str, month: str | None = None) -> Money:
    """Read what the invoices of a contract take back of earlier ones: that of one month, or all."""
    query = select(func.coalesce(func.sum(RateCorrection.amount_micros), 0)).where(
        RateCorrection.contract_id == contract_id, RateCorrection.billable
    )
    if month is not None:
        query = query.where(RateCorrection.month == month)
    return Money(int(await work.session.scalar(query) or 0))

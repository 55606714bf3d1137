"""What customers pay for, summed up by price beside the captures: rate segments, and each job's lines in them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.dialects.postgresql import insert

from broker.ledger.charge_limit import LineCount, RateSegment, sum_invoiced
from broker.ledger.rate_corrections import read_corrected
from broker.ledger.tables import Hold, LineTotal, SegmentTotal
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit

SEGMENT_COLUMNS = ("month", "used_month", "unit", "unit_price", "billable")


async def read_segments(work: Work, contract_id: str, month: str) -> dict[RateSegment, int]:
    """Read what the segments of a month count so far. The caller holds the contract's lock."""
    return await _read(work, select(SegmentTotal).where(_of(contract_id), SegmentTotal.month == month))


async def read_invoiced(work: Work, contract_id: str, month: str | None = None) -> Money:
    """Read what the usage invoices of a contract ask for, drafted or to be drafted: of one month or of all.

    What they take back of closed months is taken off: where that is more, the sum is below zero.
    """
    query = select(SegmentTotal).where(_of(contract_id), SegmentTotal.billable)
    asked = sum_invoiced(await _read(work, query if month is None else query.where(SegmentTotal.month == month)))
    return asked - await read_corrected(work, contract_id, month)


def _of(contract_id: str) -> Any:
    return SegmentTotal.contract_id == contract_id


async def _read(work: Work, query: Select[SegmentTotal]) -> dict[RateSegment, int]:
    columns = (getattr(SegmentTotal, name) for name in (*SEGMENT_COLUMNS, "quantity"))
    rows = await work.session.execute(query.with_only_columns(*columns))
    return {_to_segment(row): row.quantity for row in rows}


async def read_job_lines(work: Work, job_id: str) -> dict[RateSegment, LineCount]:
    """Read what a job's lines count so far, in all months."""
    columns = (getattr(LineTotal, name) for name in (*SEGMENT_COLUMNS, "quantity", "leads"))
    rows = await work.session.execute(select(*columns).where(LineTotal.job_id == job_id))
    return {_to_segment(row): LineCount(row.quantity, row.leads) for row in rows}


def _to_segment(row: Row[Any]) -> RateSegment:
    late_of = None if row.used_month == row.month else row.used_month
    return RateSegment(Unit(row.unit), row.unit_price, row.billable, row.month, late_of)


async def add_to_rates(
    work: Work, hold: Hold, lines: Mapping[RateSegment, LineCount], *, versions: Mapping[RateSegment, str]
) -> None:
    """Add what was charged to a job's lines and to their segments. The caller holds the contract's lock.

    `versions` are those of the cards that new lines are first charged by.
    """
    for segment, line in sorted(lines.items(), key=lambda item: (item[0].unit, item[0].unit_price, item[0].billable)):
        own = {
            "customer_id": hold.customer_id,
            "contract_id": hold.contract_id,
            "month": segment.month,
            "used_month": segment.used_month or segment.month,
            "unit": segment.unit.value,
            "unit_price": segment.unit_price,
            "billable": segment.billable,
            "quantity": line.quantity,
        }
        await _add(work, SegmentTotal, own, key=("contract_id", *SEGMENT_COLUMNS))
        job = {"job_id": hold.job_id, "rate_card_version": versions[segment], "leads": line.leads}
        await _add(work, LineTotal, own | job, key=("job_id", *SEGMENT_COLUMNS))


async def _add(
    work: Work, table: type[SegmentTotal | LineTotal], values: Mapping[str, Any], *, key: tuple[str, ...]
) -> None:
    statement = insert(table).values(**values)
    more = {"quantity": table.quantity + statement.excluded.quantity}
    await work.session.execute(statement.on_conflict_do_update(index_elements=key, set_=more))

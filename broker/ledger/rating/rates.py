"""What customers pay for, summed up by price beside the captures: rate segments, and each job's lines in them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import ARRAY, Text, any_, bindparam, select

from broker.ledger.rating.charge_limit import LineCount, RateSegment
from broker.ledger.tables import Hold, LineTotal, SegmentTotal
from broker.persistence.driver import Command, Query
from broker.persistence.set_writes import command_additions, command_inserts
from broker.persistence.tenancy import owns
from broker.work import Work
from pricing.usage import Unit

SEGMENT_COLUMNS = ("month", "used_month", "unit", "unit_price", "billable")
SEGMENT_NAMES = tuple(column.name for column in SegmentTotal.__table__.c)
Key = tuple[Any, ...]
LINE_KEY: Callable[[dict[str, Any]], Key] = itemgetter("job_id", *SEGMENT_COLUMNS)
SEGMENT_KEY: Callable[[dict[str, Any]], Key] = itemgetter("contract_id", *SEGMENT_COLUMNS)

SEGMENTS = Query(
    select(*(getattr(SegmentTotal, name) for name in (*SEGMENT_COLUMNS, "quantity"))).where(
        SegmentTotal.contract_id == bindparam("contract_id"),
        SegmentTotal.month == bindparam("month"),
        owns(SegmentTotal.customer_id),
    )
)
LINES = Query(
    select(*(getattr(LineTotal, name) for name in ("job_id", *SEGMENT_COLUMNS, "quantity", "leads"))).where(
        LineTotal.job_id == any_(bindparam("job_ids", type_=ARRAY(Text))), owns(LineTotal.customer_id)
    )
)


async def read_segments(work: Work, contract_id: str, month: str) -> dict[RateSegment, int]:
    """Read what the segments of a month count so far. The caller holds the contract's lock."""
    rows = await work.fetch(SEGMENTS, contract_id=contract_id, month=month)
    return {to_segment(row): row.quantity for row in rows}


async def read_job_lines(work: Work, job_ids: Sequence[str]) -> dict[str, dict[RateSegment, LineCount]]:
    """Read what the lines of jobs count so far, in all months, by job."""
    lines: dict[str, dict[RateSegment, LineCount]] = {job_id: {} for job_id in job_ids}
    for row in await work.fetch(LINES, job_ids=list(job_ids)):
        lines[row.job_id][to_segment(row)] = LineCount(row.quantity, row.leads)
    return lines


def to_segment(row: Any) -> RateSegment:
    """Tell the segment that a row with its columns is of."""
    return _know_segment(row.unit, row.unit_price, row.billable, row.month, row.used_month)


@lru_cache(maxsize=4096)  # a batch of heartbeats reads the same few for each of its jobs
def _know_segment(unit: str, unit_price: Decimal, billable: bool, month: str, used_month: str) -> RateSegment:
    late_of = None if used_month == month else used_month
    return RateSegment(Unit(unit), unit_price, billable, month, late_of)


@dataclass(frozen=True)
class AddedLine:
    """What was charged to a job in one rate segment. The version is that of the rate card by which it was priced.

    `is_kept`: the job is known to have this line already, so that its quantity alone changes.
    """

    hold: Hold
    segment: RateSegment
    count: LineCount
    rate_card_version: str
    is_kept: bool = False

    def to_row(self) -> dict[str, Any]:
        segment = self.segment
        return {
            "job_id": self.hold.job_id,
            "customer_id": self.hold.customer_id,
            "contract_id": self.hold.contract_id,
            "month": segment.month,
            "used_month": segment.used_month or segment.month,
            "unit": segment.unit.value,
            "unit_price": segment.unit_price,
            "billable": segment.billable,
            "quantity": self.count.quantity,
            "rate_card_version": self.rate_card_version,
            "leads": self.count.leads,
        }


async def add_to_rates(work: Work, added: Iterable[AddedLine]) -> None:
    """Add what was charged to the jobs' lines and to their segments. The caller holds the locks of their contracts."""
    await work.run_together(command_added_lines(added))


def command_added_lines(added: Iterable[AddedLine]) -> list[Command]:
    """Make the commands that add what was charged as `add_to_rates` does, to be run together with others."""
    told = list(added)
    rows = [line.to_row() for line in told]
    lines, segments = _add_up(rows, LINE_KEY), _add_up(rows, SEGMENT_KEY)
    new = {LINE_KEY(row) for line, row in zip(told, rows, strict=True) if not line.is_kept}
    return [
        *command_additions(LineTotal, "quantity", [row for key, row in lines.items() if key not in new]),
        *command_inserts(LineTotal, [row for key, row in lines.items() if key in new], adding="quantity"),
        *command_inserts(SegmentTotal, [_pick_segment(row) for row in segments.values()], adding="quantity"),
    ]


def _add_up(rows: Iterable[dict[str, Any]], key_of: Callable[[dict[str, Any]], Key]) -> dict[Key, dict[str, Any]]:
    """Add up rows that have one key, by that key and in its order; the first of them tells all else."""
    sums: dict[Key, dict[str, Any]] = {}
    for row in rows:
        key = key_of(row)
        kept = sums.get(key)
        sums[key] = row if kept is None else {**kept, "quantity": kept["quantity"] + row["quantity"]}
    return {key: sums[key] for key in sorted(sums)}


def _pick_segment(row: dict[str, Any]) -> dict[str, Any]:
    """Pick what a segment keeps of a line."""
    return {name: row[name] for name in SEGMENT_NAMES}

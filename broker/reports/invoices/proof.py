"""What a line of an invoice rests on: the charges of its job at its price, and the intervals under each of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import aliased

from broker import errors
from broker.billing.evidence import PAID_BY_A_GRANT
from broker.billing.model import LineKind
from broker.billing.tables import Invoice, InvoiceLine
from broker.ledger.tables import Capture
from broker.metering.reading.charged_intervals import ChargedInterval, list_charged_intervals
from broker.work import Work
from pricing.money import Money

CHARGES_SHOWN = 20


@dataclass(frozen=True)
class LineCharge:
    """A charge of a line, with the intervals that it is of, as they were reported. Units: those of the line's meter."""

    capture: Capture
    intervals: Sequence[ChargedInterval]


@dataclass(frozen=True)
class LineProof:
    """A line with a page of its charges; `count` and `charged` are of all of them: together they are its quantity.

    `paid_ahead` is what the line after it takes off again, where a grant has paid.
    """

    line: InvoiceLine
    paid_ahead: Money | None
    charges: Sequence[LineCharge]
    count: int
    charged: int

    @property
    def agrees(self) -> bool:
        """Tell whether the charges add up to what the line bills."""
        return self.line.quantity is not None and self.charged == self.line.quantity


async def read_line_proof(work: Work, invoice: Invoice, position: int, *, offset: int = 0) -> LineProof:
    """Read a line of an invoice with a page of what it rests on. Raises: NotFound."""
    line, following = await _read_lines(work, invoice, position)
    is_taken_off = following is not None and following.kind == LineKind.ADVANCE
    paid_ahead = Money(-following.amount_micros) if following is not None and is_taken_off else None
    if invoice.month is None or line.job_id is None or line.kind not in PAID_BY_A_GRANT:
        return LineProof(line, paid_ahead, (), 0, 0)
    query = _select_charges(invoice, line, billable=not is_taken_off)
    own = query.subquery()
    sums = select(func.count(), func.coalesce(func.sum(own.c.quantity), 0)).select_from(own)
    count, charged = (await work.session.execute(sums)).one()
    page = (await work.session.scalars(query.order_by(Capture.id).limit(CHARGES_SHOWN).offset(offset))).all()
    intervals = await list_charged_intervals(
        work,
        _list_numbers(page),
        until=invoice.finalized_at or work.now,
        amended_by={each.added_by for each in page if each.added_by is not None},
    )
    return LineProof(line, paid_ahead, [_find_intervals(each, intervals) for each in page], count, int(charged))


async def _read_lines(work: Work, invoice: Invoice, position: int) -> tuple[InvoiceLine, InvoiceLine | None]:
    query = select(InvoiceLine).where(
        InvoiceLine.invoice_id == invoice.id, InvoiceLine.position.in_((position, position + 1))
    )
    found = {row.position: row for row in await work.session.scalars(query)}
    if position not in found:
        raise errors.NotFound("line", f"{invoice.number or invoice.id}/{position}")
    return found[position], found.get(position + 1)


def _select_charges(invoice: Invoice, line: InvoiceLine, *, billable: bool) -> Select[Capture]:
    """Select what the line was charged for: captures of its job in its month, at its price, for its month of use.

    One below zero is of what the month takes back of a closed one, and no other line is.
    """
    corrected = aliased(Capture)
    is_taken_back = func.coalesce(corrected.month != Capture.month, False)
    query = select(Capture).outerjoin(corrected, corrected.id == Capture.corrects_id)
    return query.where(
        is_taken_back if (line.quantity or 0) < 0 else ~is_taken_back,
        Capture.contract_id == invoice.contract_id,
        Capture.month == invoice.month,
        Capture.job_id == line.job_id,
        Capture.unit == line.meter,
        Capture.unit_price == line.unit_price,
        Capture.used_month == line.used_month,
        Capture.billable == billable,
        ~Capture.borne,
    )


def _list_numbers(charges: Sequence[Capture]) -> Mapping[str, set[int]]:
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    for each in charges:
        numbers[each.run_id].update(range(each.first_sequence, each.last_sequence + 1))
    return numbers


def _find_intervals(capture: Capture, found: Mapping[str, Sequence[ChargedInterval]]) -> LineCharge:
    numbers = range(capture.first_sequence, capture.last_sequence + 1)
    return LineCharge(capture, [each for each in found.get(capture.run_id, ()) if each.sequence in numbers])

"""The lines of an invoice by rate segment, and those of one segment a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Select, and_, func, select

from broker.billing.model import LineKind
from broker.billing.tables import InvoiceLine
from broker.work import Work
from pricing.money import Money

Key = tuple[str, str | None, Decimal | None, str | None]


@dataclass(frozen=True)
class InvoiceSegment:
    """Lines of one kind, meter, price and month of use: what was rounded once. Units: those of the meter; yuan.

    `first` is the place of its first line, by which it is named.
    """

    first: int
    kind: LineKind
    meter: str | None
    unit_price: Decimal | None
    used_month: str | None
    lines: int
    quantity: int | None
    amount: Money

    @property
    def key(self) -> Key:
        return self.kind.value, self.meter, self.unit_price, self.used_month


@dataclass(frozen=True)
class LinesAsked:
    """Which lines of an invoice: those of a segment, so many of them after so many."""

    invoice_id: str
    segment: InvoiceSegment
    limit: int = 50
    offset: int = 0


COLUMNS = (InvoiceLine.kind, InvoiceLine.meter, InvoiceLine.unit_price, InvoiceLine.used_month)


async def list_segments(work: Work, invoice_id: str) -> list[InvoiceSegment]:
    """List the segments of an invoice in the order of their first lines; they add up to its total."""
    query = (
        select(
            func.min(InvoiceLine.position),
            *COLUMNS,
            func.count(),
            func.sum(InvoiceLine.quantity),
            func.sum(InvoiceLine.amount_micros),
        )
        .where(InvoiceLine.invoice_id == invoice_id)
        .group_by(*COLUMNS)
        .order_by(func.min(InvoiceLine.position))
    )
    return [
        InvoiceSegment(
            first=first,
            kind=LineKind(kind),
            meter=meter,
            unit_price=unit_price,
            used_month=used_month,
            lines=lines,
            quantity=None if quantity is None else int(quantity),
            amount=Money(int(micros)),
        )
        for first, kind, meter, unit_price, used_month, lines, quantity, micros in await work.session.execute(query)
    ]


async def list_segment_lines(work: Work, asked: LinesAsked) -> Sequence[InvoiceLine]:
    """List a page of the lines of a segment, what comes to most first."""
    query = select_lines(asked.invoice_id, asked.segment).order_by(
        func.abs(InvoiceLine.amount_micros).desc(), InvoiceLine.position
    )
    return (await work.session.scalars(query.limit(asked.limit).offset(asked.offset))).all()


def select_lines(invoice_id: str, segment: InvoiceSegment) -> Select[InvoiceLine]:
    """Select the lines of a segment of an invoice."""
    is_of_it = [column.is_not_distinct_from(value) for column, value in zip(COLUMNS, segment.key, strict=True)]
    return select(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id, and_(*is_of_it))

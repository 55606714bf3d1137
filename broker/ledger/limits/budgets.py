"""What counts towards a contract's monthly budgets, and what is left of one: the most that its usage may still add."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Numeric, Text, bindparam, cast, func, literal, null, select, union_all

from broker.ledger.books.model import HoldState
from broker.ledger.rating.charge_limit import RateSegment, sum_invoiced
from broker.ledger.rating.rates import to_segment
from broker.ledger.tables import Hold, HoldLeg, RateCorrection, SegmentTotal
from broker.persistence.driver import Query
from broker.persistence.tenancy import owns
from broker.work import Work
from pricing.money import Money

OF_CONTRACT = bindparam("contract_id", type_=Text)
NO_TEXT, NO_PRICE = cast(null(), Text), cast(null(), Numeric)
SEGMENTS = select(
    literal("segment").label("part"),
    SegmentTotal.month,
    SegmentTotal.used_month,
    SegmentTotal.unit,
    SegmentTotal.unit_price,
    SegmentTotal.billable,
    SegmentTotal.quantity,
).where(SegmentTotal.contract_id == OF_CONTRACT, SegmentTotal.billable, owns(SegmentTotal.customer_id))
CORRECTED = (
    select(
        literal("corrected"),
        RateCorrection.month,
        NO_TEXT,
        NO_TEXT,
        NO_PRICE,
        literal(True),
        func.sum(RateCorrection.amount_micros),
    )
    .where(RateCorrection.contract_id == OF_CONTRACT, RateCorrection.billable, owns(RateCorrection.customer_id))
    .group_by(RateCorrection.month)
)
HELD = (
    select(
        literal("held"),
        HoldLeg.month,
        NO_TEXT,
        NO_TEXT,
        NO_PRICE,
        literal(True),
        func.sum(HoldLeg.held - HoldLeg.captured - HoldLeg.released),
    )
    .join(Hold, Hold.id == HoldLeg.hold_id)
    .where(Hold.contract_id == OF_CONTRACT, Hold.state == HoldState.PLACED.value, owns(Hold.customer_id))
    .where(HoldLeg.month.is_not(None), ~HoldLeg.borne)
    .group_by(HoldLeg.month)
)
TAKEN = Query(union_all(SEGMENTS, CORRECTED, HELD))


@dataclass(frozen=True)
class Taken:
    """What is taken of a contract's budgets: what invoices of usage ask for, and what live jobs hold, by month.

    `corrected` is what a month's invoice takes back of earlier ones.
    """

    segments: Mapping[RateSegment, int]
    corrected: Mapping[str, Money]
    held: Mapping[str, Money]

    def sum_asked(self, month: str | None = None) -> Money:
        """Add up what invoices ask for, drafted or to be drafted: that of one month, or all.

        Where more is taken back of closed months than asked for, the sum is below zero.
        """
        asked = sum_invoiced({each: count for each, count in self.segments.items() if month in {None, each.month}})
        return asked - sum((each for of, each in self.corrected.items() if month in {None, of}), Money.zero())

    def find_left(self, month: str, monthly_budget_micros: int) -> Money:
        """Find what of a month's budget neither its invoice asks for nor a live job holds; never below zero."""
        taken = self.sum_asked(month) + self.held.get(month, Money.zero())
        return Money(max(0, monthly_budget_micros - taken.micros))


async def read_taken(work: Work, contract_id: str) -> Taken:
    """Read what is taken of a contract's budgets."""
    return sum_taken(await work.fetch(TAKEN, contract_id=contract_id))


def sum_taken(rows: Sequence[Any]) -> Taken:
    """Sum up what is taken, from the rows of `TAKEN`."""
    return Taken(
        {to_segment(row): int(row.quantity) for row in rows if row.part == "segment"},
        {row.month: Money(int(row.quantity)) for row in rows if row.part == "corrected"},
        {row.month: Money(int(row.quantity)) for row in rows if row.part == "held"},
    )

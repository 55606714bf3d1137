"""A month and the one before, read once: what both come to, why they differ, and the sums by whatever is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, literal, select

from broker.clock import previous_month
from broker.ledger.tables import LineTotal
from broker.reports.costs.changes import MonthChange, explain_change
from broker.reports.costs.costs import Fact
from broker.reports.costs.grouping import CostRow, Dimension, Filters, find_columns, group_facts, make_rows
from broker.reports.costs.reading import Asked
from broker.reports.costs.report import list_facts
from broker.work import Work


@dataclass(frozen=True)
class MonthReading:
    """The facts of a month and of the one before it. `is_final`: all of it is on final invoices."""

    month: str
    facts: Sequence[Fact]
    facts_before: Sequence[Fact]

    @property
    def is_final(self) -> bool:
        return all(fact.final for fact in self.facts)

    @property
    def change(self) -> MonthChange:
        return explain_change(self.facts_before, self.facts)

    def group(self, by: Sequence[Dimension], filters: Filters | None = None) -> list[CostRow]:
        """Group both months by some dimensions, what comes to most first."""
        columns, kept = find_columns(by), filters or Filters()
        before = group_facts(self.facts_before, columns, kept)
        rows = make_rows(group_facts(self.facts, columns, kept), columns, before)
        return sorted(rows, key=lambda row: (-row.costs.due, *(value or "" for value in row.place.values())))


async def is_long(work: Work, month: str, most: int) -> bool:
    """Tell whether a month has more lines than this, without counting them all: a page would wait for it."""
    lines = select(literal(1)).where(LineTotal.month == month).limit(most + 1).subquery()
    return int(await work.session.scalar(select(func.count()).select_from(lines)) or 0) > most


async def read_month(work: Work, month: str, *, customer_id: str | None = None) -> MonthReading:
    """Read a month and the one before it, by contract, project and GPU type; of a customer, or of all."""
    facts, before = [
        await list_facts(work, Asked(each, customer_id=customer_id, by_gpu_type=True))
        for each in (month, previous_month(month))
    ]
    return MonthReading(month, facts, before)

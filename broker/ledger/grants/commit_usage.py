"""Reading what contracts used: by the month that it is of, of late, and week by week; of many as of one."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import TextClause, func, select, text

from broker.clock import billing_month
from broker.contracts.terms.model import ContractTerms
from broker.ledger.grants.pace import find_window_start
from broker.ledger.tables import RateCorrection, SegmentTotal
from broker.work import Work
from pricing.usage import Unit

WEEK = timedelta(weeks=1)
# A contract and a meter of it.
Metered = tuple[str, Unit]

# Charges of each contract since a moment of its own; what was told so late that an earlier month bills it is no pace.
CHARGED = """
    FROM captures c
    JOIN unnest(CAST(:ids AS text[]), CAST(:months AS text[]), CAST(:begins AS timestamptz[])) AS w (id, month, begin)
        ON w.id = c.contract_id AND c.month >= w.month AND c.created_at > w.begin
    WHERE NOT c.borne"""
WITHIN = text(f"SELECT c.contract_id, c.unit, sum(c.quantity) {CHARGED} GROUP BY 1, 2")
BY_WEEK = text(f"""
    SELECT c.contract_id, ceil(extract(epoch FROM CAST(:now AS timestamptz) - c.created_at) / 604800)::bigint AS week,
           sum(c.quantity) {CHARGED} AND c.unit = 'gpu_seconds' AND c.created_at < :now GROUP BY 1, 2""")  # noqa: S608


class Window(NamedTuple):
    """Since when what a contract uses counts, and the first month that can bill it."""

    begins_at: datetime
    month: str

    @classmethod
    def of(cls, terms: ContractTerms, begun_at: datetime, now: datetime) -> "Window":
        """Answer the time of late: 30 days, or since a period has begun."""
        return cls.since(terms, max(begun_at, find_window_start(begun_at, now)))

    @classmethod
    def since(cls, terms: ContractTerms, moment: datetime) -> "Window":
        return cls(moment, billing_month(moment, terms.time_zone))


async def read_used(work: Work, contract_ids: Collection[str]) -> Mapping[Metered, Counter[tuple[str, bool]]]:
    """Read what invoices bill of each meter, by month and whether they ask for it, less what they take back."""
    used: defaultdict[Metered, Counter[tuple[str, bool]]] = defaultdict(Counter)
    for table, sign in ((SegmentTotal, 1), (RateCorrection, -1)):
        group = (table.contract_id, table.unit, table.used_month, table.billable)
        query = select(*group, func.sum(table.quantity)).where(table.contract_id.in_(contract_ids)).group_by(*group)
        for contract_id, unit, month, billable, quantity in await work.session.execute(query):
            used[contract_id, Unit(unit)][month, billable] += sign * int(quantity)
    return used


async def read_used_within(work: Work, windows: Mapping[str, Window]) -> dict[Metered, int]:
    """Read what was charged of each contract in a window of its own, by its id. Units: those of the meters."""
    rows = await _read(work, WITHIN, windows)
    return {(contract_id, Unit(unit)): int(quantity) for contract_id, unit, quantity in rows}


async def read_used_by_week(work: Work, windows: Mapping[str, Window]) -> dict[str, dict[int, int]]:
    """Read the GPU-seconds that were charged of each contract by week before now: 1 is the last one."""
    weeks: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for contract_id, week, quantity in await _read(work, BY_WEEK, windows, now=work.now):
        weeks[contract_id][week] = int(quantity)
    return weeks


async def _read(work: Work, query: TextClause, windows: Mapping[str, Window], **more: Any) -> Sequence[Any]:
    begins, months = [each.begins_at for each in windows.values()], [each.month for each in windows.values()]
    told = {"ids": list(windows), "months": months, "begins": begins}
    return (await work.session.execute(query, told | more)).all()

"""Reading what contracts used: by the month that it is of, of late, and week by week; of many as of one."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select

from broker.clock import billing_month
from broker.contracts.terms.model import ContractTerms
from broker.ledger.grants.pace import find_window_start
from broker.ledger.grants.past_use import AHEAD, Span, Use, read_use
from broker.ledger.tables import RateCorrection, SegmentTotal
from broker.work import Work
from pricing.usage import Unit

WEEK = timedelta(weeks=1)
# A contract and a meter of it.
Metered = tuple[str, Unit]


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
    """Read what was charged of each contract since its window began, by its id. Units: those of the meters."""
    spans = [Span(contract_id, each.begins_at, work.now + AHEAD) for contract_id, each in windows.items()]
    used: defaultdict[Metered, int] = defaultdict(int)
    for span, sums in zip(spans, await read_use(work, spans), strict=True):
        for use, quantity in count_for_pace(sums, windows[span.contract_id]):
            used[span.contract_id, Unit(use.unit)] += quantity
    return used


async def read_used_by_week(work: Work, windows: Mapping[str, Window]) -> dict[str, dict[int, int]]:
    """Read the GPU-seconds that were charged of each contract by week before now: 1 is the last one."""
    spans = [span for contract_id, window in windows.items() for span in list_week_spans(contract_id, window, work.now)]
    weeks: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for span, sums in zip(spans, await read_use(work, spans), strict=True):
        counted = [
            quantity
            for use, quantity in count_for_pace(sums, windows[span.contract_id])
            if use.unit == Unit.GPU_SECONDS.value
        ]
        if counted:
            weeks[span.contract_id][(work.now - span.ends_at) // WEEK + 1] = sum(counted)
    return weeks


def list_week_spans(contract_id: str, window: Window, now: datetime) -> list[Span]:
    """List the weeks before now that a window reaches into, the last first; the earliest is cut. Pure."""
    count = max(0, -((window.begins_at - now) // WEEK))
    return [
        Span(contract_id, max(window.begins_at, now - number * WEEK), now - (number - 1) * WEEK)
        for number in range(1, count + 1)
    ]


def count_for_pace(sums: Mapping[Use, int], window: Window) -> Iterator[tuple[Use, int]]:
    """List what tells a pace: not what we bear, nor what was told so late that an earlier month bills it. Pure."""
    return ((use, quantity) for use, quantity in sums.items() if not use.borne and use.month >= window.month)

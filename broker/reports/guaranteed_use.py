"""What became of guaranteed GPUs in a month: used by whom they were guaranteed to, lent to others, or idle.

By GPU type, in sums of a day: of each day it is known who used how much, not at which moment. So what was lent is at
least that much: what others used beyond all that is guaranteed to nobody.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import select, text

from broker.capacity.tables import Pool
from broker.clock import month_end, month_start
from broker.contracts import service as contracts
from broker.contracts.terms.guarantees import GuaranteedPeriod, list_guaranteed_periods
from broker.contracts.terms.model import ContractTerms
from broker.reports.pool_margin import list_days
from broker.work import Work

# A guarantee serves the contract's own queue alone: what runs elsewhere is others' use.
METERED = """
    SELECT p.sku, (e.ended_at AT TIME ZONE :zone)::date AS day, q.contract_id, sum(e.gpu_seconds)::bigint AS seconds
    FROM usage_events e JOIN runs r ON r.id = e.run_id JOIN pools p ON p.name = r.pool JOIN jobs j ON j.id = r.job_id
    LEFT JOIN queues q ON q.name = j.queue
    WHERE e.ended_at >= :start AND e.ended_at < :end GROUP BY 1, 2, 3"""


@dataclass(frozen=True)
class GuaranteedUse:
    """What became of the guaranteed GPUs of a type. Units: GPU-seconds; `lent` is at least so much of what was left."""

    gpu_type: str
    guaranteed: int
    used: int
    lent: int

    @property
    def left(self) -> int:
        """What they were guaranteed to did not use."""
        return self.guaranteed - self.used


@dataclass
class TypeDay:
    """A day of a GPU type: what there is, what is guaranteed and used, by contract. Units: GPU-seconds.

    What is used in queues of nobody's own is under None.
    """

    capacity: int = 0
    guaranteed: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    used: defaultdict[str | None, int] = field(default_factory=lambda: defaultdict(int))


async def report_guaranteed_use(work: Work, month: str) -> list[GuaranteedUse]:
    """Report each GPU type of which something was guaranteed in a calendar month of the house, up to now."""
    zone = work.settings.time_zone
    start, end = month_start(month, zone), min(month_end(month, zone), work.now)
    days: defaultdict[tuple[str, date], TypeDay] = defaultdict(TypeDay)
    for period, terms in _list_periods(await contracts.list_guaranteed(work), start, end):
        assert period.ends_at is not None, "a month has an end"
        for day, seconds in list_days(period.begins_at, period.ends_at, zone).items():
            there = days[period.guaranteed.gpu_type, day]
            there.guaranteed[terms.id] += period.guaranteed.gpus * seconds
    if not days:
        return []
    for pool in await work.session.scalars(select(Pool)):
        for day, seconds in list_days(max(start, pool.created_at), end, zone).items():
            days[pool.sku, day].capacity += pool.total_gpus * seconds
    told = {"zone": zone, "start": start, "end": end}
    for sku, day, contract_id, seconds in await work.session.execute(text(METERED), told):
        days[sku, day].used[contract_id] += seconds
    return add_days(days)


def _list_periods(
    guaranteed: Iterable[ContractTerms], start: datetime, end: datetime
) -> Iterable[tuple[GuaranteedPeriod, ContractTerms]]:
    return ((period, terms) for terms in guaranteed for period in list_guaranteed_periods(terms, start, end))


def add_days(days: Mapping[tuple[str, date], TypeDay]) -> list[GuaranteedUse]:
    """Add the days up by type, in their order; one of which nothing is guaranteed is left out. Pure."""
    sums: dict[str, list[GuaranteedUse]] = defaultdict(list)
    for gpu_type, day in sorted(days):
        if days[gpu_type, day].guaranteed:
            sums[gpu_type].append(share_day(gpu_type, days[gpu_type, day]))
    return [
        GuaranteedUse(
            gpu_type,
            guaranteed=sum(each.guaranteed for each in uses),
            used=sum(each.used for each in uses),
            lent=sum(each.lent for each in uses),
        )
        for gpu_type, uses in sums.items()
    ]


def share_day(gpu_type: str, day: TypeDay) -> GuaranteedUse:
    """Share what is guaranteed on a day: to whom used their own, and of the rest to whoever used it. Pure."""
    guaranteed = sum(day.guaranteed.values())
    used = sum(min(seconds, day.used[contract_id]) for contract_id, seconds in day.guaranteed.items())
    by_others = sum(day.used.values()) - used
    lent = max(0, by_others - max(0, day.capacity - guaranteed))
    return GuaranteedUse(gpu_type, guaranteed, used, min(lent, guaranteed - used))

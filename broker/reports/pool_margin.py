"""The margin of pools: what usage on each was worth in a month, what the house bore of it, and what the pool cost.

Usage is that of a billing month, to the fen as on invoices, shared among pools as the cost report shares it among GPU
types. Cost is that of the calendar month in the house's time zone, day by day, by the rate of each day: of what was
metered, and of what stood idle beside it, by the GPUs that the pool has now.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction

from sqlalchemy import select, text

from broker.capacity.cost_rates import CostRates, read_cost_rates
from broker.capacity.tables import Pool
from broker.clock import local_day, month_end, month_start
from broker.ledger import service as ledger
from broker.reports.costs import statements
from broker.reports.costs.reading import Asked, list_prices
from broker.work import Work
from pricing.money import Money, round_to_fen

WORTH = """
    SELECT gpu_type AS pool, cause, sum(amount)::bigint AS micros FROM ({lines}) l
    WHERE kind IN ('usage', 'correction', 'borne') GROUP BY 1, 2"""
PIECES = tuple(
    WORTH.format(lines=statements.share_lines(lines, wanted, statements.POOL))
    for lines, wanted in (
        (statements.FINAL.format(billable=statements.IS_BILLABLE), "NOT c.borne"),
        (statements.OPEN, "NOT c.borne"),
        (statements.BORNE, "c.borne"),
    )
)
# Metered time by the day in which an interval ended: corrections and late reports count where they belong.
METERED = """
    SELECT r.pool, (e.ended_at AT TIME ZONE :zone)::date AS day, sum(e.gpu_seconds)::bigint AS seconds
    FROM usage_events e JOIN runs r ON r.id = e.run_id
    WHERE e.ended_at >= :start AND e.ended_at < :end GROUP BY 1, 2"""
HOUR = 3600


@dataclass(frozen=True)
class PoolMargin:
    """One pool's month; pool None: usage that was reported from outside. Units: GPU-seconds; money to the fen.

    `charged` is usage at the contracts' prices, whoever paid for it; `used_cost` and `idle_cost` are None where no rate
    held on a day on which there was any.
    """

    pool: str | None
    gpu_type: str | None
    charged: Money
    borne_by_cause: Mapping[ledger.Cause, Money]
    capacity_seconds: int = 0
    used_seconds: int = 0
    used_cost: Money | None = None
    idle_cost: Money | None = None

    @property
    def borne(self) -> Money:
        return sum(self.borne_by_cause.values(), Money.zero())

    @property
    def idle_seconds(self) -> int:
        return max(0, self.capacity_seconds - self.used_seconds)

    @property
    def margin(self) -> Money | None:
        """Tell what is left of what was charged after what the pool cost, used or idle."""
        if self.used_cost is None or self.idle_cost is None:
            return None
        return self.charged - self.used_cost - self.idle_cost


@dataclass
class _Days:
    """What was used and there to be used of a pool, by day. Units: GPU-seconds."""

    used: dict[date, int] = field(default_factory=dict)
    capacity: dict[date, int] = field(default_factory=dict)


async def report_pool_margin(work: Work, month: str) -> list[PoolMargin]:
    """Report every pool, by name, and then what ran on none."""
    worth = await _read_worth(work, month)
    pools = {pool.name: pool for pool in await work.session.scalars(select(Pool).order_by(Pool.name))}
    days = await _read_days(work, month, list(pools.values()))
    rates = await read_cost_rates(work)
    rows = [
        _make_row(pools[name], worth.get(name, {}), days[name], rates.get(name, CostRates()))
        for name in pools
        if name in worth or days[name].used or rates.get(name)
    ]
    return [*rows, *([_make_outside(worth[None])] if None in worth else [])]


async def _read_worth(work: Work, month: str) -> dict[str | None, dict[str, int]]:
    told = Asked(month).tell(work) | await list_prices(work)
    sums: defaultdict[str | None, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for query in PIECES:
        for pool, cause, micros in await work.session.execute(text(query), told):
            sums[pool][cause] += micros
    return {pool: dict(by_cause) for pool, by_cause in sums.items()}


async def _read_days(work: Work, month: str, pools: Sequence[Pool]) -> dict[str, _Days]:
    zone = work.settings.time_zone
    start, end = month_start(month, zone), month_end(month, zone)
    days = {pool.name: _Days() for pool in pools}
    for pool, day, seconds in await work.session.execute(text(METERED), {"zone": zone, "start": start, "end": end}):
        days[pool].used[day] = seconds
    for pool in pools:
        times = list_days(max(start, pool.created_at), min(end, work.now), zone)
        days[pool.name].capacity = {day: pool.total_gpus * seconds for day, seconds in times.items()}
    return days


def list_days(start: datetime, end: datetime, zone: str) -> dict[date, int]:
    """List how many seconds of each local day lie between two moments, the hours of changed clocks as they are."""
    seconds: dict[date, int] = {}
    moment = start
    while moment < end:
        day = local_day(moment, zone)
        following = _begin(day + timedelta(days=1), zone)
        seconds[day] = int((min(end, following) - moment).total_seconds())
        moment = following
    return seconds


def _begin(day: date, zone: str) -> datetime:
    return month_start(f"{day:%Y-%m}", zone, day.day)


def _make_row(pool: Pool, worth: Mapping[str, int], days: _Days, rates: CostRates) -> PoolMargin:
    used, idle = days.used, {day: max(0, seconds - days.used.get(day, 0)) for day, seconds in days.capacity.items()}
    return PoolMargin(
        pool=pool.name,
        gpu_type=pool.sku,
        charged=Money(worth.get("", 0)),
        borne_by_cause=_by_cause(worth),
        capacity_seconds=sum(days.capacity.values()),
        used_seconds=sum(used.values()),
        used_cost=compute_cost(used, rates),
        idle_cost=compute_cost(idle, rates),
    )


def _make_outside(worth: Mapping[str, int]) -> PoolMargin:
    return PoolMargin(None, None, Money(worth.get("", 0)), _by_cause(worth))


def _by_cause(worth: Mapping[str, int]) -> dict[ledger.Cause, Money]:
    return {ledger.Cause(cause): Money(micros) for cause, micros in sorted(worth.items()) if cause and micros}


def compute_cost(seconds: Mapping[date, int], rates: CostRates) -> Money | None:
    """Compute what GPU-seconds of some days cost, exactly, rounded once to the fen; None where a day has no rate."""
    exact = Fraction(0)
    for day, count in seconds.items():
        rate = rates.find(day)
        if rate is None and count:
            return None
        if rate is not None:
            exact += Fraction(rate.to_decimal()) * Fraction(count, HOUR)
    return round_to_fen(exact)

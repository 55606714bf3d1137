"""What pools cost the house, by the day from which on: what the margin of a month is told against."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Select, select

from broker import errors
from broker.capacity.tables import Pool, PoolCostRate
from broker.work import Work
from pricing.money import Money

__all__ = ["CostRates", "PoolCostRate", "read_cost_rates", "select_cost_rates", "set_cost_rate"]


@dataclass(frozen=True)
class CostRates:
    """The rates of one pool: first day and cost of a GPU-hour, in the order in which they hold."""

    rates: Sequence[tuple[date, Money]] = ()

    def find(self, day: date) -> Money | None:
        """Find what a GPU-hour costs on a day; None before the first rate."""
        return next((rate for begins_on, rate in reversed(self.rates) if begins_on <= day), None)


async def set_cost_rate(work: Work, pool: str, per_gpu_hour: Money, begins_on: date) -> PoolCostRate:
    """Set what a GPU-hour of a pool costs from a day on; what was set before stays on record. Raises: NotFound."""
    if await work.session.get(Pool, pool) is None:
        raise errors.NotFound("pool", pool)
    rate = PoolCostRate(
        id=work.new_id("pcr"),
        pool=pool,
        per_gpu_hour_micros=per_gpu_hour.micros,
        begins_on=begins_on,
        author=work.actor.id,
        created_at=work.now,
    )
    work.session.add(rate)
    await work.session.flush()
    return rate


def select_cost_rates(pool: str) -> Select[PoolCostRate]:
    """Select what was ever set of a pool."""
    return select(PoolCostRate).where(PoolCostRate.pool == pool)


async def read_cost_rates(work: Work) -> dict[str, CostRates]:
    """Read the rates of all pools, by name."""
    order = (PoolCostRate.pool, PoolCostRate.begins_on, PoolCostRate.created_at, PoolCostRate.id)
    found: dict[str, list[tuple[date, Money]]] = {}
    for row in await work.session.scalars(select(PoolCostRate).order_by(*order)):
        found.setdefault(row.pool, []).append((row.begins_on, Money(row.per_gpu_hour_micros)))
    return {pool: CostRates(rates) for pool, rates in found.items()}

"""What pools cost, for finance and ops."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field

from broker.capacity import cost_rates, readiness
from broker.capacity.cost_rates import PoolCostRate
from broker.http.edge import StaffWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import Cursor, Limit, MoneyOut, Page, RequestBody, created_at_field
from pricing.money import Money

router = feature_router("/pools", "capacity")

Yuan = Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=6)]


class CostRateIn(RequestBody):
    per_gpu_hour: Yuan = Field(description="Yuan that a GPU costs for an hour, used or idle.", examples=["2.35"])
    begins_on: date = Field(description="First day, in the house's time zone.", examples=["2026-11-01"])


class CostRateOut(BaseModel):
    object: Literal["pool_cost_rate"] = Field(
        default="pool_cost_rate", description="Kind of object.", examples=["pool_cost_rate"]
    )
    id: str = Field(description="Id of the rate.", examples=["pcr_01k"])
    pool: str = Field(description="The pool.", examples=["a100"])
    per_gpu_hour: MoneyOut = Field(
        description="What a GPU costs for an hour, used or idle.", examples=[{"amount": "2.35", "currency": "CNY"}]
    )
    begins_on: date = Field(
        description="First day, in the house's time zone; of two from one day the later one holds.",
        examples=["2026-11-01"],
    )
    author: str = Field(description="Who set it.", examples=["key_01k"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, rate: PoolCostRate) -> Self:
        return cls(
            id=rate.id,
            pool=rate.pool,
            per_gpu_hour=MoneyOut.of_micros(rate.per_gpu_hour_micros),
            begins_on=rate.begins_on,
            author=rate.author,
            created_at=rate.created_at,
        )


@router.post("/{name}/cost-rates", status_code=201)
async def set_cost_rate(work: StaffWork, name: str, body: CostRateIn) -> CostRateOut:
    """Set what a GPU-hour of a pool costs the house from a day on; the margin report counts with it."""
    rate = await cost_rates.set_cost_rate(work, name, Money.from_decimal(body.per_gpu_hour), body.begins_on)
    return CostRateOut.of(rate)


@router.get("/{name}/cost-rates")
async def list_cost_rates(work: StaffWork, name: str, limit: Limit = 20, cursor: Cursor = None) -> Page[CostRateOut]:
    """List what was ever set of a pool, the latest first."""
    await readiness.get_pool(work, name)
    query = cost_rates.select_cost_rates(name)
    rows, after = await fetch_page(work.session, query, PoolCostRate, limit=limit, cursor=cursor)
    return Page(data=[CostRateOut.of(row) for row in rows], next_cursor=after)

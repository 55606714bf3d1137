"""API shape of the margin of pools."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut, as_hours
from broker.ledger import service as ledger
from broker.reports.guaranteed_use import GuaranteedUse
from broker.reports.pool_margin import PoolMargin
from broker.reports.report_files import ReportTable
from pricing.money import Money


def _money(description: str, amount: str) -> Any:
    return Field(description=description, examples=[{"amount": amount, "currency": "CNY"}])


class PoolMarginRowOut(BaseModel):
    pool: str | None = Field(description="The pool; null: usage reported from outside.", examples=["a100"])
    gpu_type: str | None = Field(description="Its type of device.", examples=["A100-80G"])
    capacity_gpu_hours: str = Field(description="GPU-hours there, by the GPUs that it has now.", examples=["744.0000"])
    used_gpu_hours: str = Field(description="GPU-hours metered.", examples=["500.0000"])
    idle_gpu_hours: str = Field(description="The rest.", examples=["244.0000"])
    charged: MoneyOut = _money("Usage at the contracts' prices, whoever paid for it.", "2600.00")
    borne: MoneyOut = _money("Usage that the house bore, at the same prices; not in `charged`.", "5.20")
    borne_by_cause: dict[ledger.Cause, MoneyOut] = Field(
        description="The same by why.", examples=[{"preempted": {"amount": "5.20", "currency": "CNY"}}]
    )
    used_cost: MoneyOut | None = _money("What the used hours cost; null: a day has no cost rate.", "1175.00")
    idle_cost: MoneyOut | None = _money("What the idle hours cost.", "573.40")
    margin: MoneyOut | None = _money("charged - used_cost - idle_cost.", "851.60")

    @classmethod
    def of(cls, row: PoolMargin) -> Self:
        money = {name: getattr(row, name) for name in ("charged", "borne", "used_cost", "idle_cost", "margin")}
        return cls(
            pool=row.pool,
            gpu_type=row.gpu_type,
            capacity_gpu_hours=as_hours(row.capacity_seconds),
            used_gpu_hours=as_hours(row.used_seconds),
            idle_gpu_hours=as_hours(row.idle_seconds),
            borne_by_cause={cause: MoneyOut.of(amount) for cause, amount in row.borne_by_cause.items()},
            **{name: None if amount is None else MoneyOut.of(amount) for name, amount in money.items()},
        )


class GuaranteedUseOut(BaseModel):
    gpu_type: str = Field(description="Type of device.", examples=["rtx-4090"])
    guaranteed_gpu_hours: str = Field(description="GPU-hours guaranteed to contracts.", examples=["1440.0000"])
    used_gpu_hours: str = Field(
        description="Used of it by those contracts, in their own queues.", examples=["900.0000"]
    )
    left_gpu_hours: str = Field(description="The rest.", examples=["540.0000"])
    lent_gpu_hours: str = Field(
        description="Of the rest, what others used: at least so much, since use is known by the day.",
        examples=["210.0000"],
    )

    @classmethod
    def of(cls, use: GuaranteedUse) -> Self:
        seconds = {name: getattr(use, name) for name in ("guaranteed", "used", "left", "lent")}
        return cls(gpu_type=use.gpu_type, **{f"{name}_gpu_hours": as_hours(each) for name, each in seconds.items()})


class PoolMarginOut(BaseModel):
    object: Literal["pool_margin_report"] = Field(
        default="pool_margin_report", description="Kind of object.", examples=["pool_margin_report"]
    )
    month: str = Field(description="Billing month of usage, calendar month of cost.", examples=["2026-11"])
    as_of: datetime = Field(description="When it was made (UTC).", examples=["2026-11-24T10:00:00Z"])
    data: list[PoolMarginRowOut] = Field(description="By pool.", examples=[[{"pool": "a100"}]])
    guarantees: list[GuaranteedUseOut] = Field(
        description="What became of guaranteed GPUs, by type.", examples=[[{"gpu_type": "rtx-4090"}]]
    )
    charged: MoneyOut = _money("Sum of the rows.", "2600.00")
    borne: MoneyOut = _money("Sum of the rows.", "5.20")
    used_cost: MoneyOut | None = _money("Sum of the rows; null: a pool that was used has no rate.", "1175.00")
    idle_cost: MoneyOut | None = _money("Sum of the rows.", "573.40")
    margin: MoneyOut | None = _money("charged - used_cost - idle_cost, of all rows.", "851.60")

    @classmethod
    def of(cls, month: str, rows: Sequence[PoolMargin], guarantees: Sequence[GuaranteedUse], as_of: datetime) -> Self:
        inside = [row for row in rows if row.pool is not None]
        used, idle = (_sum([getattr(row, name) for row in inside]) for name in ("used_cost", "idle_cost"))
        charged = sum((row.charged for row in rows), Money.zero())
        margin = None if used is None or idle is None else MoneyOut.of(charged - used - idle)
        return cls(
            month=month,
            as_of=as_of,
            data=[PoolMarginRowOut.of(row) for row in rows],
            guarantees=[GuaranteedUseOut.of(use) for use in guarantees],
            charged=MoneyOut.of(charged),
            borne=MoneyOut.of(sum((row.borne for row in rows), Money.zero())),
            used_cost=None if used is None else MoneyOut.of(used),
            idle_cost=None if idle is None else MoneyOut.of(idle),
            margin=margin,
        )


def _sum(amounts: Sequence[Money | None]) -> Money | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Money.zero()) if len(known) == len(amounts) else None


COLUMNS = ("month", *PoolMarginRowOut.model_fields, "currency")


def tabulate_pools(report: PoolMarginOut) -> ReportTable:
    """Lay the pools out as a table."""
    rows = [
        {**row.model_dump(), "borne_by_cause": _write(row), "month": report.month, "currency": "CNY"}
        for row in report.data
    ]
    return ReportTable(f"pool-margin-{report.month}", COLUMNS, rows, ("pool", "gpu_type"))


def _write(row: PoolMarginRowOut) -> str:
    return ", ".join(f"{cause} {money.amount}" for cause, money in row.borne_by_cause.items())

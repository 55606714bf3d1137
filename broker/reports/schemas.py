"""API shapes of reports."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from broker.http.csv_table import write_table
from broker.http.shapes import MoneyOut, as_hours
from broker.reports.service import CostRow
from pricing.money import Money


class CostRowOut(BaseModel):
    customer_id: str = Field(description="The customer.", examples=["cus_01k"])
    customer: str = Field(description="The customer's name.", examples=["Acme Tea"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    plan: str = Field(description="Its plan.", examples=["prepaid"])
    project_id: str | None = Field(description="The project; null: jobs without one.", examples=["prj_01k"])
    project: str | None = Field(description="The project's name.", examples=["brand-tone"])
    jobs: int = Field(description="Jobs that used something.", examples=[2])
    gpu_seconds: int = Field(description="GPU-seconds used.", examples=[190])
    gpu_hours: str = Field(description="The same in GPU-hours, to four places.", examples=["0.0528"])
    tokens: int = Field(description="Tokens used.", examples=[25680])
    gpu_cost: MoneyOut = Field(
        description="GPU-hours at their prices.", examples=[{"amount": "0.27", "currency": "CNY"}]
    )
    token_cost: MoneyOut = Field(
        description="Tokens at their prices.", examples=[{"amount": "2.31", "currency": "CNY"}]
    )
    cost: MoneyOut = Field(description="Both.", examples=[{"amount": "2.58", "currency": "CNY"}])
    advance: MoneyOut = Field(
        description="The part of it that advances have paid.", examples=[{"amount": "0.27", "currency": "CNY"}]
    )
    tier_settlement: MoneyOut = Field(
        description="What volume tiers take off the contract's month, on its row without a project.",
        examples=[{"amount": "0.00", "currency": "CNY"}],
    )
    due: MoneyOut = Field(description="What the invoice asks for.", examples=[{"amount": "2.31", "currency": "CNY"}])

    @classmethod
    def of(cls, row: CostRow) -> "CostRowOut":
        return cls(
            customer_id=row.customer_id,
            customer=row.customer,
            contract_id=row.contract_id,
            plan=row.plan,
            project_id=row.project_id,
            project=row.project,
            jobs=row.jobs,
            gpu_seconds=row.gpu_seconds,
            gpu_hours=as_hours(row.gpu_seconds),
            tokens=row.tokens,
            gpu_cost=MoneyOut.of(row.gpu_cost),
            token_cost=MoneyOut.of(row.token_cost),
            cost=MoneyOut.of(row.cost),
            advance=MoneyOut.of(row.advance),
            tier_settlement=MoneyOut.of(row.tier_settlement),
            due=MoneyOut.of(row.due),
        )


class MonthlyCostOut(BaseModel):
    object: Literal["monthly_cost_report"] = Field(
        default="monthly_cost_report", description="Kind of object.", examples=["monthly_cost_report"]
    )
    month: str = Field(description="Billing month, in each contract's time zone.", examples=["2026-11"])
    as_of: datetime = Field(description="When it was made (UTC).", examples=["2026-11-24T10:00:00Z"])
    data: list[CostRowOut] = Field(description="By customer, contract and project.", examples=[[{"jobs": 2}]])
    cost: MoneyOut = Field(description="Sum of the costs.", examples=[{"amount": "2.58", "currency": "CNY"}])
    advance: MoneyOut = Field(
        description="Sum of what advances have paid.", examples=[{"amount": "0.27", "currency": "CNY"}]
    )
    tier_settlement: MoneyOut = Field(
        description="Sum of what volume tiers take off.", examples=[{"amount": "0.00", "currency": "CNY"}]
    )
    due: MoneyOut = Field(description="Sum of what is due.", examples=[{"amount": "2.31", "currency": "CNY"}])

    @classmethod
    def of(cls, month: str, rows: list[CostRow], as_of: datetime) -> "MonthlyCostOut":
        return cls(
            month=month,
            as_of=as_of,
            data=[CostRowOut.of(row) for row in rows],
            cost=_total(row.cost for row in rows),
            advance=_total(row.advance for row in rows),
            tier_settlement=_total(row.tier_settlement for row in rows),
            due=_total(row.due for row in rows),
        )


def _total(amounts: Iterable[Money]) -> MoneyOut:
    return MoneyOut.of(sum(amounts, Money.zero()))


CSV_COLUMNS = (
    "month",
    "customer_id",
    "customer",
    "contract_id",
    "plan",
    "project_id",
    "project",
    "jobs",
    "gpu_seconds",
    "gpu_hours",
    "tokens",
    "gpu_cost",
    "token_cost",
    "cost",
    "advance",
    "tier_settlement",
    "due",
    "currency",
)


def write_csv(report: MonthlyCostOut) -> bytes:
    """Write the report's rows as CSV."""
    rows = [{**row.model_dump(), "month": report.month, "currency": row.cost.currency} for row in report.data]
    return write_table(CSV_COLUMNS, rows, names=("customer", "project"))

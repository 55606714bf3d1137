"""API shape of the monthly cost report."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut, as_hours
from broker.reports.costs.costs import Costs
from broker.reports.costs.grouping import CostRow
from broker.reports.costs.report import CostReport, Names
from broker.reports.report_files import ReportTable
from pricing.money import DEFAULT_CURRENCY, Money


def _money(description: str, amount: str = "0.00") -> Any:
    return Field(description=description, examples=[{"amount": amount, "currency": "CNY"}])


class CostSumsOut(BaseModel):
    """What one row, or the whole report, comes to."""

    jobs: int = Field(description="Jobs that used something; one of two GPU types is counted with each.", examples=[2])
    gpu_seconds: int = Field(description="GPU-seconds used.", examples=[190])
    gpu_hours: str = Field(description="The same in GPU-hours, to four places.", examples=["0.0528"])
    tokens: int = Field(description="Tokens used.", examples=[25680])
    list_cost: MoneyOut = _money("What the usage costs without a contract: on demand, on the GPU types used.", "3.44")
    gpu_cost: MoneyOut = _money("GPU-hours at the contract's prices.", "0.27")
    token_cost: MoneyOut = _money("Tokens at the contract's prices.", "2.31")
    cost: MoneyOut = _money("Both.", "2.58")
    saved: MoneyOut = _money("`list_cost` less `cost` and what volume tiers take off.", "0.86")
    advance: MoneyOut = _money("The part of `cost` that grants have paid.", "0.27")
    tier_settlement: MoneyOut = _money("What volume tiers take off the contract's month; of no project.")
    guarantee: MoneyOut = _money("Guaranteed GPUs; of no project.")
    true_up: MoneyOut = _money("Committed hours that nobody used; of no project.")
    tax: MoneyOut = _money("Tax on top of the invoice's lines; of no project.")
    due: MoneyOut = _money("What the month's usage invoice asks for, with tax.", "2.31")
    purchased: MoneyOut = _money("Asked for in advance in this month, with tax, less orders cancelled in it.")
    credited: MoneyOut = _money("Taken back by credit notes of this month, with tax; not taken off `due`.")
    lost: MoneyOut = _money("What the house bore: work lost by its doing, usage beyond a promise.")

    @classmethod
    def sums_of(cls, costs: Costs) -> dict[str, Any]:
        """Tell the fields of sums."""
        counts = {"jobs": costs.jobs, "gpu_seconds": costs.gpu_seconds, "tokens": costs.tokens}
        names = [name for name, field in CostSumsOut.model_fields.items() if field.annotation is MoneyOut]
        micros = {name: getattr(costs, "listed" if name == "list_cost" else name) for name in names}
        money = {name: MoneyOut.of_micros(amount) for name, amount in micros.items()}
        return {**counts, "gpu_hours": as_hours(costs.gpu_seconds), **money}


class CostRowOut(CostSumsOut):
    customer_id: str | None = Field(description="The customer; null: not told apart by it.", examples=["cus_01k"])
    customer: str | None = Field(description="The customer's name.", examples=["Acme Tea"])
    contract_id: str | None = Field(description="The contract; null: not told apart by it.", examples=["con_01k"])
    contract_number: str | None = Field(description="Its number (合同编号).", examples=["HT-2026-017"])
    plan: str | None = Field(description="Its plan in that month.", examples=["prepaid"])
    project_id: str | None = Field(description="The project; null: of none.", examples=["prj_01k"])
    project: str | None = Field(description="The project's name.", examples=["brand-tone"])
    gpu_type: str | None = Field(
        description="Type of device that runs were on; null: of none, or not told apart by it.", examples=["A100-80G"]
    )
    final: bool = Field(description="Whether invoices say it; false: as of now, it may change.", examples=[False])
    due_before: MoneyOut | None = Field(
        description="`due` of the month before, where that is asked for.",
        examples=[{"amount": "1.20", "currency": "CNY"}],
    )
    due_change: MoneyOut | None = Field(
        description="`due` less that of the month before.", examples=[{"amount": "1.11", "currency": "CNY"}]
    )

    @classmethod
    def of(cls, row: CostRow, names: Names) -> Self:
        place = {name: row.place.get(name) for name in PLACE}
        customer = names.customers.get(place["customer_id"] or "")
        project = names.projects.get(place["project_id"] or "")
        before = None if row.before is None else MoneyOut.of_micros(row.before.due)
        change = None if row.before is None else MoneyOut.of_micros(row.costs.due - row.before.due)
        told = {**place, "customer": customer, "project": project, "final": row.final}
        return cls(**cls.sums_of(row.costs), **told, due_before=before, due_change=change)


PLACE = ("customer_id", "contract_id", "contract_number", "plan", "project_id", "gpu_type")


class MonthlyCostOut(CostSumsOut):
    object: Literal["monthly_cost_report"] = Field(
        default="monthly_cost_report", description="Kind of object.", examples=["monthly_cost_report"]
    )
    month: str = Field(description="Billing month, in each contract's time zone.", examples=["2026-11"])
    as_of: datetime = Field(description="When it was made (UTC).", examples=["2026-11-24T10:00:00Z"])
    group_by: list[str] = Field(description="What rows are told apart by.", examples=[["customer", "contract"]])
    data: list[CostRowOut] = Field(description="By customer, contract and project.", examples=[[{"jobs": 2}]])
    due_before: MoneyOut | None = Field(
        description="`due` of the month before, where that is asked for.",
        examples=[{"amount": "1.20", "currency": "CNY"}],
    )

    @classmethod
    def of(cls, report: CostReport, as_of: datetime) -> Self:
        before = report.total_before
        return cls(
            **cls.sums_of(report.total),
            month=report.question.month,
            as_of=as_of,
            group_by=[each.value for each in report.question.group_by],
            data=[CostRowOut.of(row, report.names) for row in report.rows],
            due_before=None if before is None else MoneyOut.of_micros(before.due),
        )


COLUMNS = (
    "month",
    *("customer_id", "customer", "contract_id", "contract_number", "plan", "project_id", "project", "gpu_type"),
    *("jobs", "gpu_seconds", "gpu_hours", "tokens", "list_cost", "gpu_cost", "token_cost", "cost", "saved", "advance"),
    *("tier_settlement", "guarantee", "true_up", "tax", "due", "due_before", "due_change"),
    *("purchased", "credited", "lost", "final", "currency"),
)


def tabulate_costs(report: CostReport) -> ReportTable:
    """Lay the report's rows out as a table; its totals are the sums of the columns."""
    names = ("customer", "contract_number", "project", "gpu_type")
    rows = [_flatten(row, report) for row in report.rows]
    return ReportTable(f"monthly-cost-{report.question.month}", COLUMNS, rows, names)


MONEY = tuple(name for name, field in CostSumsOut.model_fields.items() if field.annotation is MoneyOut)


def _flatten(row: CostRow, report: CostReport) -> dict[str, Any]:
    """Flatten a row as a file has it; past the shapes of the API, which cost ten times as much for ten thousand."""
    place, costs, before = row.place, row.costs, row.before
    told: dict[str, Any] = {name: place.get(name) for name in PLACE}
    told["customer"] = report.names.customers.get(place.get("customer_id") or "")
    told["project"] = report.names.projects.get(place.get("project_id") or "")
    told |= {"jobs": costs.jobs, "gpu_seconds": costs.gpu_seconds, "tokens": costs.tokens, "final": row.final}
    told["gpu_hours"] = as_hours(costs.gpu_seconds)
    for name in MONEY:
        told[name] = _write(costs.listed if name == "list_cost" else getattr(costs, name))
    told["due_before"] = None if before is None else _write(before.due)
    told["due_change"] = None if before is None else _write(costs.due - before.due)
    return told | {"month": report.question.month, "currency": DEFAULT_CURRENCY}


def _write(micros: int) -> dict[str, str]:
    return {"amount": Money(micros).format_amount()}

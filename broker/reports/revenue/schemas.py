"""API shape of the revenue report."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut
from broker.reports.report_files import ReportTable
from broker.reports.revenue.movements import RevenueReport, RevenueRow
from broker.reports.revenue.waterfall import ExpectedMonth
from pricing.money import Money


def _money(description: str, amount: str = "0.00") -> Any:
    return Field(description=description, examples=[{"amount": amount, "currency": "CNY"}])


class RevenueSumsOut(BaseModel):
    """What a contract's month comes to, or that of all."""

    opening: MoneyOut = _money("Deferred as the month begins: paid or asked for in advance, and not earned.", "2600.00")
    sold: MoneyOut = _money("Asked for in advance, without tax, less orders cancelled.", "0.00")
    recognised: MoneyOut = _money("Earned of advances by usage that final invoices bill.", "520.00")
    breakage: MoneyOut = _money("Earned of what lapsed unused.")
    refunded: MoneyOut = _money("Owed back of what was not used.")
    carried: MoneyOut = _money("Carried here from another contract; below zero: to another.")
    adjusted: MoneyOut = _money("Given by hand at the house's cost; below zero: taken.")
    closing: MoneyOut = _money(
        "Deferred as it ends: opening + sold - recognised - breakage - refunded + carried + adjusted.", "2080.00"
    )
    by_usage: MoneyOut = _money("Earned beside advances, by final usage invoices, less credit notes.", "36.20")
    revenue: MoneyOut = _money("All that was earned: by_usage + recognised + breakage.", "556.20")
    tax: MoneyOut = _money("Tax that was billed, less what went back; it is in no other amount.", "2.17")

    @staticmethod
    def sum_up(rows: list[RevenueRow]) -> dict[str, MoneyOut]:
        """Add rows up, or tell those of one."""
        names = RevenueSumsOut.model_fields
        return {name: MoneyOut.of(sum((getattr(row, name) for row in rows), Money.zero())) for name in names}


class RevenueRowOut(RevenueSumsOut):
    customer_id: str = Field(description="The customer.", examples=["cus_01k"])
    customer: str = Field(description="The customer's name.", examples=["Acme Tea"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    contract_number: str = Field(description="Its number as signed (合同编号).", examples=["HT-2026-017"])

    @classmethod
    def of(cls, row: RevenueRow) -> Self:
        whose = {name: getattr(row, name) for name in ("customer_id", "customer", "contract_id", "contract_number")}
        return cls(**whose, **cls.sum_up([row]))


class ExpectedMonthOut(BaseModel):
    month: str | None = Field(description="Calendar month; null: of grants without an end.", examples=["2026-12"])
    expected: MoneyOut = _money("Expected to be earned, were use even by days until each grant ends.", "180.00")
    lapsing: MoneyOut = _money("Deferred of grants that end in it: earned by then at the latest.", "0.00")

    @classmethod
    def of(cls, each: ExpectedMonth) -> Self:
        return cls(month=each.month, expected=MoneyOut.of(each.expected), lapsing=MoneyOut.of(each.lapsing))


class RevenueOut(RevenueSumsOut):
    object: Literal["revenue_report"] = Field(
        default="revenue_report", description="Kind of object.", examples=["revenue_report"]
    )
    month: str = Field(description="Calendar month in the house's time zone, by booking.", examples=["2026-11"])
    as_of: datetime = Field(description="When it was made (UTC).", examples=["2026-11-24T10:00:00Z"])
    data: list[RevenueRowOut] = Field(description="By customer and contract.", examples=[[{"contract_id": "con_01k"}]])
    waterfall: list[ExpectedMonthOut] = Field(
        description="When what is deferred at the end is expected to be earned.", examples=[[{"month": "2026-12"}]]
    )

    @classmethod
    def of(cls, report: RevenueReport, as_of: datetime) -> Self:
        return cls(
            **cls.sum_up(list(report.rows)),
            month=report.month,
            as_of=as_of,
            data=[RevenueRowOut.of(row) for row in report.rows],
            waterfall=[ExpectedMonthOut.of(each) for each in report.waterfall],
        )


COLUMNS = (
    "month",
    "customer_id",
    "customer",
    "contract_id",
    "contract_number",
    *RevenueSumsOut.model_fields,
    "currency",
)
WATERFALL = ("month", "expected", "lapsing", "currency")


def tabulate_revenue(report: RevenueOut) -> ReportTable:
    """Lay the contracts out as a table; its totals are the sums of the columns."""
    rows = [{**row.model_dump(), "month": report.month, "currency": "CNY"} for row in report.data]
    return ReportTable(f"revenue-{report.month}", COLUMNS, rows, ("customer", "contract_number"))


def tabulate_waterfall(report: RevenueOut) -> ReportTable:
    """Lay out when what is deferred is expected to be earned."""
    rows = [{**each.model_dump(), "currency": "CNY"} for each in report.waterfall]
    return ReportTable(f"deferred-{report.month}", WATERFALL, rows)

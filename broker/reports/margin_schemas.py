"""API shapes of the margin report."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.http.shapes import MoneyOut
from broker.ledger import service as ledger
from broker.reports.margin import MarginRow
from broker.reports.report_files import ReportTable
from pricing.money import Money


class MarginRowOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    job_id: str = Field(description="The job.", examples=["job_01k"])
    customer_id: str = Field(description="The customer.", examples=["cus_01k"])
    customer: str = Field(description="The customer's name.", examples=["Acme Tea"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    plan: str = Field(description="Its plan.", examples=["prepaid"])
    quote_guarantee: Literal["pause", "cap"] | None = Field(
        description="What the job was promised; null: only its own max_cost.", examples=["cap"]
    )
    quoted_cap: MoneyOut | None = Field(
        description="Most that the customer is charged for the whole job; null: no cap.",
        examples=[{"amount": "1.42", "currency": "CNY"}],
    )
    actual: MoneyOut = Field(
        description="Price of all the month's usage at the contract's rates.",
        examples=[{"amount": "1.90", "currency": "CNY"}],
    )
    charged: MoneyOut = Field(
        description="What the customer is charged of it.", examples=[{"amount": "1.42", "currency": "CNY"}]
    )
    borne: MoneyOut = Field(description="What the house bears of it.", examples=[{"amount": "0.48", "currency": "CNY"}])
    borne_by_cause: dict[ledger.Cause, MoneyOut] = Field(
        description="The same by why it does; over_promise: usage beyond what the customer was promised.",
        examples=[{"over_promise": {"amount": "0.48", "currency": "CNY"}}],
    )

    @classmethod
    def of(cls, row: MarginRow) -> "MarginRowOut":
        money = {name: MoneyOut.of(getattr(row, name)) for name in ("actual", "charged", "borne")}
        cap = None if row.quoted_cap is None else MoneyOut.of(row.quoted_cap)
        causes = _by_cause(row.borne_by_cause.items())
        return cls.model_validate({**vars(row), **money, "quoted_cap": cap, "borne_by_cause": causes})


class MarginReportOut(BaseModel):
    object: Literal["margin_report"] = Field(
        default="margin_report", description="Kind of object.", examples=["margin_report"]
    )
    month: str = Field(description="Billing month, in each contract's time zone.", examples=["2026-11"])
    as_of: datetime = Field(description="When it was made (UTC).", examples=["2026-11-24T10:00:00Z"])
    data: list[MarginRowOut] = Field(description="By customer and job.", examples=[[{"job_id": "job_01k"}]])
    actual: MoneyOut = Field(description="Sum of the prices.", examples=[{"amount": "1.90", "currency": "CNY"}])
    charged: MoneyOut = Field(description="Sum of what is charged.", examples=[{"amount": "1.42", "currency": "CNY"}])
    borne: MoneyOut = Field(
        description="Sum of what the house bears.", examples=[{"amount": "0.48", "currency": "CNY"}]
    )
    borne_by_cause: dict[ledger.Cause, MoneyOut] = Field(
        description="The same by cause.", examples=[{"over_promise": {"amount": "0.48", "currency": "CNY"}}]
    )

    @classmethod
    def of(cls, month: str, rows: list[MarginRow], as_of: datetime) -> "MarginReportOut":
        return cls(
            month=month,
            as_of=as_of,
            data=[MarginRowOut.of(row) for row in rows],
            actual=_total(row.actual for row in rows),
            charged=_total(row.charged for row in rows),
            borne=_total(row.borne for row in rows),
            borne_by_cause=_by_cause(item for row in rows for item in row.borne_by_cause.items()),
        )


def _by_cause(amounts: Iterable[tuple[ledger.Cause, Money]]) -> dict[ledger.Cause, MoneyOut]:
    totals: defaultdict[ledger.Cause, Money] = defaultdict(Money.zero)
    for cause, amount in amounts:
        totals[cause] += amount
    return {cause: MoneyOut.of(totals[cause]) for cause in sorted(totals)}


def _total(amounts: Iterable[Money]) -> MoneyOut:
    return MoneyOut.of(sum(amounts, Money.zero()))


COLUMNS = (
    "month",
    "job_id",
    "customer_id",
    "customer",
    "contract_id",
    "plan",
    "quote_guarantee",
    "quoted_cap",
    "actual",
    "charged",
    "borne",
    "borne_by_cause",
    "currency",
)


def tabulate_margin(report: MarginReportOut) -> ReportTable:
    """Lay the report's rows out as a table; its totals are the sums of the columns."""
    rows = [
        {
            **row.model_dump(),
            "month": report.month,
            "currency": row.charged.currency,
            "borne_by_cause": ", ".join(f"{cause} {money.amount}" for cause, money in row.borne_by_cause.items()),
        }
        for row in report.data
    ]
    return ReportTable(f"margin-{report.month}", COLUMNS, rows, ("customer",))

"""API shapes of the report on receivables."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.billing.model import InvoiceKind
from broker.http.shapes import MoneyOut
from broker.reports.receivables import Age, OpenInvoice, Receivable, sum_by_age
from broker.reports.report_files import ReportTable
from pricing.money import Money

TEN_YUAN = {"amount": "10.00", "currency": "CNY"}
NOTHING = {"amount": "0.00", "currency": "CNY"}
AGES = {"not_due": TEN_YUAN, "days_1_to_30": NOTHING}


class OpenInvoiceOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="The invoice.", examples=["inv_01k"])
    number: str = Field(description="Its number.", examples=["INV-2026-000001"])
    kind: InvoiceKind = Field(description="advance or usage.", examples=["usage"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    contract_number: str = Field(description="The contract's number.", examples=["HT-2026-011"])
    due_on: date | None = Field(
        description="The last day on which it is paid in time, in the contract's time zone.", examples=["2026-12-31"]
    )
    days_overdue: int = Field(description="Days since then; 0: it is not overdue.", examples=[0])
    age: Age = Field(description="How old the debt is.", examples=["not_due"])
    due: MoneyOut = Field(description="What is still to be paid.", examples=[TEN_YUAN])
    disputed: MoneyOut = Field(
        description="What of it the customer disputes; it is in no arrears until that is decided.", examples=[NOTHING]
    )

    @classmethod
    def of(cls, invoice: OpenInvoice) -> "OpenInvoiceOut":
        money = {"due": MoneyOut.of(invoice.due), "disputed": MoneyOut.of(invoice.disputed)}
        return cls.model_validate({**vars(invoice), "age": invoice.age, **money})


class ReceivableOut(BaseModel):
    customer_id: str = Field(description="The customer.", examples=["cus_01k"])
    customer: str = Field(description="The customer's name.", examples=["Acme Tea"])
    due: MoneyOut = Field(description="All that it owes.", examples=[TEN_YUAN])
    by_age: dict[Age, MoneyOut] = Field(description="The same by age.", examples=[AGES])
    invoices: list[OpenInvoiceOut] = Field(
        description="The invoices, the longest overdue first.", examples=[[{"id": "inv_01k"}]]
    )

    @classmethod
    def of(cls, owed: Receivable) -> "ReceivableOut":
        return cls(
            customer_id=owed.customer_id,
            customer=owed.customer,
            due=MoneyOut.of(owed.due),
            by_age=_write_ages(owed.invoices),
            invoices=[OpenInvoiceOut.of(invoice) for invoice in owed.invoices],
        )


class ReceivablesOut(BaseModel):
    object: Literal["receivables"] = Field(
        default="receivables", description="Kind of object.", examples=["receivables"]
    )
    as_of: datetime = Field(description="When it was made (UTC).", examples=["2026-11-24T10:00:00Z"])
    data: list[ReceivableOut] = Field(description="By customer.", examples=[[{"customer_id": "cus_01k"}]])
    due: MoneyOut = Field(description="What all owe.", examples=[TEN_YUAN])
    by_age: dict[Age, MoneyOut] = Field(description="The same by age.", examples=[AGES])

    @classmethod
    def of(cls, owed: list[Receivable], as_of: datetime) -> "ReceivablesOut":
        return cls(
            as_of=as_of,
            data=[ReceivableOut.of(each) for each in owed],
            due=MoneyOut.of(sum((each.due for each in owed), Money.zero())),
            by_age=_write_ages(invoice for each in owed for invoice in each.invoices),
        )


def _write_ages(invoices: Iterable[OpenInvoice]) -> dict[Age, MoneyOut]:
    return {age: MoneyOut.of(amount) for age, amount in sum_by_age(invoices).items()}


COLUMNS = (
    "customer_id",
    "customer",
    "contract_id",
    "contract_number",
    "id",
    "number",
    "kind",
    "due_on",
    "days_overdue",
    "age",
    "due",
    "disputed",
    "currency",
)


def tabulate_receivables(report: ReceivablesOut) -> ReportTable:
    """Lay the report out as a table, a row for each invoice; its total is the sum of the column."""
    rows = (
        {"customer_id": owed.customer_id, "customer": owed.customer, "currency": invoice.due.currency}
        | invoice.model_dump(mode="json")
        for owed in report.data
        for invoice in owed.invoices
    )
    return ReportTable(f"receivables-{report.as_of:%Y-%m-%d}", COLUMNS, rows, ("customer", "contract_number"))

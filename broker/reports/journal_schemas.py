"""API shape of the general-ledger journal, and its CSV."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut
from broker.ledger.reading.journal import JournalLine
from broker.reports.report_files import ReportTable
from pricing.money import Money

NOTHING = {"amount": "0.00", "currency": "CNY"}


class JournalLineOut(BaseModel):
    voucher: int = Field(description="Number of the voucher (凭证号) in its month.", examples=[1])
    day: date = Field(description="Day of booking in the house's time zone.", examples=["2026-11-24"])
    summary: str = Field(description="Kind of transfer.", examples=["payment_received"])
    account_code: str = Field(description="Code in the chart of accounts (科目编码).", examples=["1002"])
    account: str = Field(description="Name of the account (科目).", examples=["银行存款"])
    customer_id: str | None = Field(description="The customer; null: the house's own.", examples=["cus_01k"])
    contract_id: str | None = Field(description="The contract.", examples=["con_01k"])
    debit: MoneyOut = Field(description="Debit (借方).", examples=[{"amount": "2600.00", "currency": "CNY"}])
    credit: MoneyOut = Field(description="Credit (贷方).", examples=[NOTHING])
    reference: str | None = Field(description="The document that it is for.", examples=["inv_01k"])

    @classmethod
    def of(cls, line: JournalLine) -> "JournalLineOut":
        return cls(
            voucher=line.voucher,
            day=line.day,
            summary=line.summary,
            account_code=line.account.code,
            account=line.account.name,
            customer_id=line.customer_id,
            contract_id=line.contract_id,
            debit=MoneyOut.of(line.debit),
            credit=MoneyOut.of(line.credit),
            reference=line.reference,
        )


class JournalOut(BaseModel):
    object: Literal["journal"] = Field(default="journal", description="Kind of object.", examples=["journal"])
    month: str = Field(description="Calendar month in the house's time zone.", examples=["2026-11"])
    as_of: datetime = Field(description="When it was made (UTC).", examples=["2026-11-24T10:00:00Z"])
    data: list[JournalLineOut] = Field(description="In the order of booking.", examples=[[{"voucher": 1}]])
    debit: MoneyOut = Field(description="Sum of the debits.", examples=[{"amount": "2600.00", "currency": "CNY"}])
    credit: MoneyOut = Field(description="Sum of the credits.", examples=[{"amount": "2600.00", "currency": "CNY"}])

    @classmethod
    def of(cls, month: str, lines: Sequence[JournalLine], as_of: datetime) -> "JournalOut":
        return cls(
            month=month,
            as_of=as_of,
            data=[JournalLineOut.of(line) for line in lines],
            debit=MoneyOut.of(sum((line.debit for line in lines), Money.zero())),
            credit=MoneyOut.of(sum((line.credit for line in lines), Money.zero())),
        )


def tabulate_journal(journal: JournalOut) -> ReportTable:
    """Lay the journal's lines out as a table."""
    columns = (*JournalLineOut.model_fields, "currency")
    rows = [{**line.model_dump(), "currency": line.debit.currency} for line in journal.data]
    return ReportTable(f"journal-{journal.month}", columns, rows)

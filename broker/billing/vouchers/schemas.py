"""API shapes of charts of accounts and of vouchers."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from broker.billing.vouchers.chart import Auxiliary, MappedAccount, list_unmapped
from broker.billing.vouchers.service import ChartVersion, VoucherLine, Vouchers
from broker.http.shapes import MoneyOut, RequestBody, written_like
from broker.ledger.books.model import AccountKind
from pricing.money import Money

CODE = r"[0-9A-Za-z][0-9A-Za-z.\-]{0,39}"
NOTHING = {"amount": "0.00", "currency": "CNY"}


class MappedAccountIn(RequestBody):
    account: AccountKind = Field(description="Our account of money.", examples=["cash"])
    code: Annotated[str, written_like(CODE, "1002.01"), Field(pattern=f"^{CODE}$")] = Field(
        description="Finance's code for it (科目编码).", examples=["1002.01"]
    )
    name: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        description="Its name there (科目名称).", examples=["银行存款-招商银行"]
    )
    auxiliary: Auxiliary = Field(
        default=Auxiliary.NONE, description="By what its entries are told apart (辅助核算).", examples=["customer"]
    )

    def read(self) -> MappedAccount:
        return MappedAccount(self.account, self.code, self.name, self.auxiliary)


class ChartIn(RequestBody):
    accounts: list[MappedAccountIn] = Field(
        min_length=1,
        max_length=50,
        description="The whole map; it replaces the one before.",
        examples=[[{"account": "cash", "code": "1002.01", "name": "银行存款-招商银行"}]],
    )


class MappedAccountOut(BaseModel):
    account: AccountKind = Field(description="Our account of money.", examples=["cash"])
    code: str = Field(description="Finance's code for it (科目编码).", examples=["1002"])
    name: str = Field(description="Its name there (科目名称).", examples=["银行存款"])
    auxiliary: Auxiliary = Field(description="By what its entries are told apart.", examples=["none"])


class ChartOut(BaseModel):
    object: Literal["chart_of_accounts"] = Field(
        default="chart_of_accounts", description="Kind of object.", examples=["chart_of_accounts"]
    )
    version: int = Field(description="Version; 0: the usual one, which nobody has changed.", examples=[1])
    accounts: list[MappedAccountOut] = Field(description="The map.", examples=[[]])
    unmapped: list[AccountKind] = Field(description="Accounts of money that have no code.", examples=[[]])
    author: str | None = Field(description="The key that wrote it.", examples=["key_01k"])
    created_at: datetime | None = Field(description="When (UTC).", examples=["2026-12-01T08:00:00Z"])

    @classmethod
    def of(cls, version: ChartVersion) -> "ChartOut":
        return cls(
            version=version.version,
            accounts=[MappedAccountOut.model_validate(each.to_json()) for each in version.chart.values()],
            unmapped=list_unmapped(version.chart),
            author=version.author,
            created_at=version.created_at,
        )


class VoucherLineOut(BaseModel):
    number: int = Field(description="Number of the voucher (凭证号), of the word 记.", examples=[1])
    day: date = Field(description="Day of booking.", examples=["2026-11-30"])
    summary: str = Field(description="Kind of transfer.", examples=["usage_invoiced"])
    account_code: str = Field(description="Code (科目编码).", examples=["6001"])
    account: str = Field(description="Name (科目名称).", examples=["主营业务收入"])
    debit: MoneyOut = Field(description="Debit (借方).", examples=[NOTHING])
    credit: MoneyOut = Field(description="Credit (贷方).", examples=[{"amount": "212.00", "currency": "CNY"}])
    customer_id: str | None = Field(description="The customer, where the account asks for it.", examples=["cus_01k"])
    contract_id: str | None = Field(description="The contract, where the account asks for it.", examples=["con_01k"])
    reference: str | None = Field(description="The document that it is for.", examples=["inv_01k"])

    @classmethod
    def of(cls, line: VoucherLine) -> "VoucherLineOut":
        return cls(
            number=line.number,
            day=line.day,
            summary=line.summary,
            account_code=line.account.code,
            account=line.account.name,
            debit=MoneyOut.of(line.debit),
            credit=MoneyOut.of(line.credit),
            customer_id=line.customer_id,
            contract_id=line.contract_id,
            reference=line.reference,
        )


class VouchersOut(BaseModel):
    object: Literal["vouchers"] = Field(default="vouchers", description="Kind of object.", examples=["vouchers"])
    month: str = Field(description="The closed month.", examples=["2026-11"])
    chart_version: int = Field(description="Version of the chart of accounts.", examples=[1])
    data: list[VoucherLineOut] = Field(description="In the order of booking.", examples=[[]])
    debit: MoneyOut = Field(description="Sum of the debits.", examples=[{"amount": "212.00", "currency": "CNY"}])
    credit: MoneyOut = Field(description="Sum of the credits.", examples=[{"amount": "212.00", "currency": "CNY"}])
    left_out: dict[str, int] = Field(
        description="Transfers in the books that have no value in money, and are left out, by their kind.",
        examples=[{"captured": 120}],
    )

    @classmethod
    def of(cls, vouchers: Vouchers) -> "VouchersOut":
        return cls(
            month=vouchers.month,
            chart_version=vouchers.chart_version,
            data=[VoucherLineOut.of(line) for line in vouchers.lines],
            debit=MoneyOut.of(sum((line.debit for line in vouchers.lines), Money.zero())),
            credit=MoneyOut.of(sum((line.credit for line in vouchers.lines), Money.zero())),
            left_out=vouchers.left_out,
        )

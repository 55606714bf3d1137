"""API shapes of fapiao."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from broker.fapiao.debts import FapiaoDebt
from broker.fapiao.model import FapiaoKind, FapiaoStatus, Invoiceable, RedReason, Title
from broker.fapiao.service import FapiaoRequest, RedFapiao
from broker.fapiao.tables import Fapiao
from broker.http.plain_text import PlainLine
from broker.http.shapes import MoneyOut, RequestBody, Yuan, created_at_field, read_fields
from pricing.money import Money

FapiaoNumber = Annotated[
    PlainLine, Field(min_length=1, max_length=40, description="Its 20 digits.", examples=["25330000000012345678"])
]
IssuedOn = Annotated[date, Field(description="The day on it (开票日期).", examples=["2026-12-02"])]
Amount = Annotated[
    Yuan | None, Field(default=None, description="Yuan, tax in it; default: all that can be.", examples=["2600.00"])
]


class TitleIn(RequestBody):
    name: PlainLine = Field(
        min_length=1, max_length=100, pattern=r"\S", description="Name (名称).", examples=["苏州青茶文化有限公司"]
    )
    tax_number: PlainLine = Field(
        default="", max_length=20, description="Tax number (税号).", examples=["91110000600037341L"]
    )
    address: PlainLine = Field(
        default="", max_length=200, description="Address (地址).", examples=["苏州市干将路 1 号"]
    )
    phone: PlainLine = Field(default="", max_length=40, description="Telephone (电话).", examples=["0512-66660000"])
    bank: PlainLine = Field(default="", max_length=100, description="Bank (开户行).", examples=["工商银行苏州分行"])
    bank_account: PlainLine = Field(default="", max_length=60, description="Account (账号).", examples=["1102 0200"])


class FapiaoIn(RequestBody):
    customer_id: str | None = Field(default=None, description="Needed with a staff key only.", examples=["cus_01k"])
    kind: FapiaoKind = Field(description="`normal` (普票), or `special` (专票).", examples=["normal"])
    title: TitleIn = Field(
        description="To whom it is made out (抬头); a special one needs all of it.", examples=[{"name": "苏州青茶"}]
    )
    amount: Amount
    quantity: Annotated[Decimal, Field(gt=0, max_digits=15, decimal_places=6)] = Field(
        default=Decimal(1), description="Quantity on its line; the unit price follows.", examples=["500"]
    )

    def read_request(self, customer_id: str) -> FapiaoRequest:
        amount = None if self.amount is None else Money.from_decimal(self.amount)
        return FapiaoRequest(customer_id, self.kind, Title(**self.title.model_dump()), amount, self.quantity)


class IssueIn(RequestBody):
    number: FapiaoNumber
    issued_on: IssuedOn


class RedIn(RequestBody):
    number: FapiaoNumber
    issued_on: IssuedOn
    reason: RedReason = Field(
        description="01 wrongly issued, 02 returned, 03 service ended, 04 discount.", examples=["03"]
    )
    amount: Amount

    def read_red(self) -> RedFapiao:
        amount = None if self.amount is None else Money.from_decimal(self.amount)
        return RedFapiao(self.number, self.issued_on, self.reason, amount)


class FapiaoLineOut(BaseModel):
    item: str = Field(description="项目名称.", examples=["*信息技术服务*算力服务费"])
    tax_code: str = Field(description="税收分类编码.", examples=["3040203000000000000"])
    unit: str = Field(description="单位.", examples=["项"])
    quantity: str = Field(description="数量; of a red one below zero.", examples=["1"])
    unit_price: str = Field(
        description="单价: net amount by quantity, to 13 places; the amounts lead.", examples=["2452.8301886792453"]
    )
    net: str = Field(description="金额, without tax; of a red one below zero.", examples=["2452.83"])
    tax_rate: str = Field(description="税率.", examples=["0.06"])
    tax: str = Field(description="税额; of a red one below zero.", examples=["147.17"])


class FapiaoOut(BaseModel):
    id: str = Field(description="Fapiao id.", examples=["fap_01k"])
    object: Literal["fapiao"] = Field(default="fapiao", description="Kind of object.", examples=["fapiao"])
    customer_id: str = Field(description="Whose it is.", examples=["cus_01k"])
    status: FapiaoStatus = Field(
        description="requested: finance is to issue it; issued: it has a number; cancelled: it never got one.",
        examples=["issued"],
    )
    kind: FapiaoKind = Field(description="Normal (普票) or special (专票).", examples=["normal"])
    title: dict[str, str] = Field(description="To whom it is made out (抬头).", examples=[{"name": "苏州青茶"}])
    amount: MoneyOut = Field(
        description="价税合计; of a red one below zero.", examples=[{"amount": "2600.00", "currency": "CNY"}]
    )
    tax: MoneyOut = Field(description="The tax in it.", examples=[{"amount": "147.17", "currency": "CNY"}])
    capitals: str = Field(description="The amount in capitals (大写).", examples=["贰仟陆佰元整"])
    lines: list[FapiaoLineOut] = Field(description="Its lines.", examples=[[]])
    number: str | None = Field(description="20 digits, once issued.", examples=["25330000000012345678"])
    issued_on: date | None = Field(description="The day on it.", examples=["2026-12-02"])
    red_of_id: str | None = Field(description="The fapiao that a red one takes back of.", examples=["fap_01k"])
    red_reason: str | None = Field(description="Why: 01 to 04.", examples=["03"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Fapiao) -> "FapiaoOut":
        own = read_fields(cls, row)
        money = {"amount": MoneyOut.of(row.amount), "tax": MoneyOut.of_micros(row.tax_micros)}
        return cls.model_validate(own | money)


class FapiaoDebtOut(BaseModel):
    object: Literal["fapiao_debt"] = Field(
        default="fapiao_debt", description="Kind of object.", examples=["fapiao_debt"]
    )
    customer_id: str = Field(description="Whose fapiao.", examples=["cus_01k"])
    customer: str = Field(description="Its name.", examples=["苏州青茶"])
    consumed: MoneyOut = Field(description="What it consumed.", examples=[{"amount": "2500.00", "currency": "CNY"}])
    invoiced: MoneyOut = Field(description="What fapiao say.", examples=[{"amount": "2600.00", "currency": "CNY"}])
    debt: MoneyOut = Field(
        description="What red ones are to take back (欠票).", examples=[{"amount": "100.00", "currency": "CNY"}]
    )

    @classmethod
    def of(cls, debt: FapiaoDebt) -> "FapiaoDebtOut":
        there = debt.there
        sums = {"consumed": there.consumed, "invoiced": there.invoiced, "debt": there.debt}
        shown = {name: MoneyOut.of(money) for name, money in sums.items()}
        return cls(customer_id=debt.customer_id, customer=debt.customer_name, **shown)


class FapiaoDebtsOut(BaseModel):
    data: list[FapiaoDebtOut] = Field(description="One for each customer.", examples=[[]])


class InvoiceableOut(BaseModel):
    object: Literal["invoiceable_amount"] = Field(
        default="invoiceable_amount", description="Kind of object.", examples=["invoiceable_amount"]
    )
    customer_id: str = Field(description="Whose it is.", examples=["cus_01k"])
    consumed: MoneyOut = Field(
        description="What final invoices ask for, less what was credited; hours in advance once they are paid.",
        examples=[{"amount": "2600.00", "currency": "CNY"}],
    )
    invoiced: MoneyOut = Field(
        description="Fapiao requested and issued, less red ones.", examples=[{"amount": "0.00", "currency": "CNY"}]
    )
    invoiceable: MoneyOut = Field(
        description="可开票金额: what can be asked for.", examples=[{"amount": "2600.00", "currency": "CNY"}]
    )
    debt: MoneyOut = Field(
        description="欠票: what fapiao say beyond what was consumed; nothing new before its red one.",
        examples=[{"amount": "0.00", "currency": "CNY"}],
    )

    @classmethod
    def of(cls, customer_id: str, there: Invoiceable) -> "InvoiceableOut":
        return cls(
            customer_id=customer_id,
            consumed=MoneyOut.of(there.consumed),
            invoiced=MoneyOut.of(there.invoiced),
            invoiceable=MoneyOut.of(there.amount),
            debt=MoneyOut.of(there.debt),
        )

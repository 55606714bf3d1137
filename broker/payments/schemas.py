"""API shapes of payments and of statements."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from broker.errors import FieldError
from broker.http.plain_text import PlainLine
from broker.http.shapes import MoneyOut, Reason, RequestBody, Yuan, created_at_field, read_fields
from broker.payments.bank.lines import StatementLine, split_signed
from broker.payments.claims import Claim
from broker.payments.importing import Imported, ImportedLine
from broker.payments.model import AllocationKind, Outcome, Payer, PaymentSource, PaymentStatus
from broker.payments.refunds import ReturnToPayer
from broker.payments.tables import Payment, PaymentAllocation
from pricing.money import Money

MONEY = {"amount": "2600.00", "currency": "CNY"}
LongText = Annotated[str, Field(max_length=2000)]


class StatementLineIn(RequestBody):
    """A line as the bank has it, all of it text: what is wrong with one keeps no other from being imported."""

    serial: LongText = Field(
        description="The bank's serial number (流水号): by it a line is kept once.", examples=["C1"]
    )
    value_on: LongText = Field(description="The day on which the money came.", examples=["2026-11-05"])
    amount: LongText = Field(
        description="Yuan; below zero where it went out, and then it is not kept.", examples=["2,600.00"]
    )
    currency: LongText = Field(default="", description="CNY where it is empty; nothing else.", examples=["CNY"])
    account: LongText = Field(default="", description="Our account; default: the issuer's.", examples=["110202000"])
    payer_name: LongText = Field(default="", description="Who paid (对方户名).", examples=["苏州青茶文化有限公司"])
    payer_account: LongText = Field(default="", description="From which account (对方账号).", examples=["62220001"])
    payer_bank: LongText = Field(default="", description="At which bank.", examples=["工商银行苏州分行"])
    remark: LongText = Field(
        default="", description="What the payer wrote (附言): references of invoices.", examples=["RF94INV2026000001"]
    )

    def read_line(self, number: int) -> StatementLine:
        own = {name: getattr(self, name) for name in type(self).model_fields if name != "amount"}
        came, went = split_signed(self.amount)
        return StatementLine(number=number, came=came, went=went, **own)


class StatementIn(RequestBody):
    lines: list[StatementLineIn] = Field(
        min_length=1, max_length=1000, description="The lines of a statement.", examples=[[{"serial": "C1"}]]
    )

    def read_lines(self) -> list[StatementLine]:
        return [line.read_line(number) for number, line in enumerate(self.lines)]


class ClaimIn(RequestBody):
    invoice_id: str | None = Field(default=None, description="The invoice that it pays.", examples=["inv_01k"])
    contract_id: str | None = Field(
        default=None, description="Or the contract whose credit it is.", examples=["con_01k"]
    )
    amount: Annotated[Yuan | None, Field(gt=0)] = Field(
        default=None, description="Yuan; default: what is due, or all that is left.", examples=["2600.00"]
    )

    @model_validator(mode="after")
    def _check_one(self) -> "ClaimIn":
        if (self.invoice_id is None) == (self.contract_id is None):
            raise ValueError("name either an invoice or a contract")
        return self

    def read_claim(self) -> Claim:
        amount = None if self.amount is None else Money.from_decimal(self.amount)
        return Claim(self.invoice_id, self.contract_id, amount)


class ClaimsIn(RequestBody):
    allocations: list[ClaimIn] = Field(
        default_factory=list,
        max_length=100,
        description="What it is for; empty: as it would be matched now.",
        examples=[[{"invoice_id": "inv_01k"}]],
    )


class UnclaimIn(RequestBody):
    reason: Reason
    allocation_ids: list[str] = Field(
        default_factory=list, max_length=100, description="Which; empty: all that stand.", examples=[["pal_01k"]]
    )


class PayeeIn(RequestBody):
    name: PlainLine = Field(default="", max_length=200, description="Whose account it is.", examples=["苏州青茶"])
    account: PlainLine = Field(default="", max_length=60, description="Its number.", examples=["62220001"])
    bank: PlainLine = Field(default="", max_length=200, description="Its bank (开户行).", examples=["工商银行苏州分行"])

    def read_payee(self) -> Payer:
        return Payer(self.name, self.account, self.bank)


class ReturnIn(RequestBody):
    reason: Reason
    amount: Annotated[Yuan | None, Field(gt=0)] = Field(
        default=None, description="Yuan; default: all that is unmatched.", examples=["100.00"]
    )
    payee: PayeeIn | None = Field(
        default=None, description="To whom; default: the payer.", examples=[{"name": "Tea", "account": "1"}]
    )

    def read_return(self) -> ReturnToPayer:
        amount = None if self.amount is None else Money.from_decimal(self.amount)
        return ReturnToPayer(self.reason, amount, None if self.payee is None else self.payee.read_payee())


class AllocationOut(BaseModel):
    id: str = Field(description="Allocation id.", examples=["pal_01k"])
    kind: AllocationKind = Field(description="It pays an invoice, or is a credit.", examples=["invoice"])
    customer_id: str = Field(description="Whose it is.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract of the invoice or the credit.", examples=["con_01k"])
    invoice_id: str | None = Field(description="The invoice; of a credit, for which it came.", examples=["inv_01k"])
    amount: MoneyOut = Field(description="How much of the payment.", examples=[MONEY])
    fee: MoneyOut = Field(
        description="What the bank kept on the way, within the tolerance: the house bears it, and the invoice is paid.",
        examples=[{"amount": "0.00", "currency": "CNY"}],
    )
    automatic: bool = Field(description="It was matched, and not claimed by hand.", examples=[True])
    author: str = Field(description="Who imported or claimed it.", examples=["key_01k"])
    created_at: datetime = created_at_field()
    undone_at: datetime | None = Field(description="When it was taken back (UTC).", examples=["2026-12-02T02:00:00Z"])
    undone_by: str | None = Field(description="Who took it back.", examples=["key_01k"])
    undone_reason: str | None = Field(description="Why.", examples=["Wrong customer"])

    @classmethod
    def of(cls, row: PaymentAllocation) -> "AllocationOut":
        own = read_fields(cls, row)
        money = {"amount": MoneyOut.of(row.amount), "fee": MoneyOut.of_micros(row.fee_micros)}
        return cls.model_validate(own | money)


class PaymentOut(BaseModel):
    id: str = Field(description="Payment id.", examples=["pay_01k"])
    object: Literal["payment"] = Field(default="payment", description="Kind of object.", examples=["payment"])
    customer_id: str | None = Field(description="Whose money it is, once that is known.", examples=["cus_01k"])
    status: PaymentStatus = Field(
        description="unmatched or partly_matched: finance claims it; matched; returned: it went back.",
        examples=["matched"],
    )
    source: PaymentSource = Field(description="Who told of it.", examples=["bank_transfer"])
    account: str = Field(description="Our account.", examples=["110202000"])
    serial: str = Field(description="Its serial number there.", examples=["C1"])
    value_on: date = Field(description="The day on which it came.", examples=["2026-11-05"])
    amount: MoneyOut = Field(description="What came.", examples=[MONEY])
    allocated: MoneyOut = Field(description="What of it pays invoices, or is a credit.", examples=[MONEY])
    returned: MoneyOut = Field(
        description="What of it goes back, or was charged back.", examples=[{"amount": "0.00", "currency": "CNY"}]
    )
    unmatched: MoneyOut = Field(
        description="What of it has found no place.", examples=[{"amount": "0.00", "currency": "CNY"}]
    )
    payer_name: str = Field(description="Who paid.", examples=["苏州青茶文化有限公司"])
    payer_account: str = Field(description="From which account.", examples=["62220001"])
    payer_bank: str = Field(description="At which bank.", examples=["工商银行苏州分行"])
    remark: str = Field(description="What the payer wrote.", examples=["RF94INV2026000001"])
    outcome: Outcome = Field(description="What became of it when it was matched.", examples=["matched"])
    reason: str = Field(
        description="Why, for finance; customers are not told.", examples=["100.00 CNY less than is due"]
    )
    candidates: list[str] = Field(
        description="Invoices that it would fit, for finance: they may be anybody's.", examples=[["inv_01k"]]
    )
    author: str = Field(description="Who imported it.", examples=["key_01k"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Payment, *, to_payer: bool = False) -> "PaymentOut":
        """Show a payment; `to_payer` without what finance made of it, which may be about others."""
        own = read_fields(cls, row) | ({"reason": "", "candidates": []} if to_payer else {})
        money = {
            "amount": MoneyOut.of(row.amount),
            "allocated": MoneyOut.of_micros(row.allocated_micros),
            "returned": MoneyOut.of_micros(row.returned_micros),
            "unmatched": MoneyOut.of(row.open_amount),
        }
        return cls.model_validate(own | money)


class PaymentDetailOut(PaymentOut):
    allocations: list[AllocationOut] = Field(
        description="All of them, undone ones too.", examples=[[{"id": "pal_01k"}]]
    )

    @classmethod
    def with_allocations(
        cls, row: Payment, allocations: Sequence[PaymentAllocation], *, to_payer: bool = False
    ) -> "PaymentDetailOut":
        shown = [AllocationOut.of(each) for each in allocations]
        return cls(**PaymentOut.of(row, to_payer=to_payer).model_dump(), allocations=shown)


class FaultOut(BaseModel):
    field: str = Field(description="The field of the line.", examples=["currency"])
    message: str = Field(description="What is wrong with it, and the cure.", examples=["is USD; only CNY is taken"])

    @classmethod
    def of(cls, fault: FieldError) -> "FaultOut":
        return cls(field=fault.field, message=fault.message)


class ImportedLineOut(BaseModel):
    line: int = Field(description="Its place: in the request from 0 on, in a file its row from 1 on.", examples=[0])
    serial: str = Field(description="Its serial number.", examples=["C1"])
    outcome: Outcome = Field(
        description="matched: pays what is due; partial: less; under: less by a bank's fee; over: more, the rest is a "
        "credit; unmatched: finance claims it; duplicate: kept before; outgoing: not kept, it went out; rejected: not "
        "kept.",
        examples=["matched"],
    )
    reason: str = Field(description="Why.", examples=[""])
    payment_id: str | None = Field(description="The payment that it is kept as.", examples=["pay_01k"])
    invoice_ids: list[str] = Field(description="What it pays, or would fit.", examples=[["inv_01k"]])
    errors: list[FaultOut] = Field(description="What is wrong with a rejected one.", examples=[[]])

    @classmethod
    def of(cls, line: ImportedLine) -> "ImportedLineOut":
        return cls(
            line=line.number,
            serial=line.serial,
            outcome=line.outcome,
            reason=line.reason,
            payment_id=line.payment_id,
            invoice_ids=list(line.invoice_ids),
            errors=[FaultOut.of(fault) for fault in line.faults],
        )


class ImportOut(BaseModel):
    object: Literal["payment_import"] = Field(
        default="payment_import", description="Kind of object.", examples=["payment_import"]
    )
    layout: str | None = Field(description="The layout of the file.", examples=["icbc"])
    counts: dict[Outcome, int] = Field(description="How many lines became what.", examples=[{"matched": 1}])
    received: MoneyOut = Field(description="What the lines that are kept now add up to.", examples=[MONEY])
    lines: list[ImportedLineOut] = Field(description="Each line, in its order.", examples=[[{"line": 0}]])

    @classmethod
    def of(cls, imported: Imported) -> "ImportOut":
        return cls(
            layout=imported.layout,
            counts=imported.counts,
            received=MoneyOut.of(imported.received),
            lines=[ImportedLineOut.of(line) for line in imported.lines],
        )

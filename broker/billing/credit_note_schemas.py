"""API shapes of credit notes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from broker.billing.credit_notes import NewCreditNote
from broker.billing.crediting import CreditedLine
from broker.billing.tables import CreditNote, CreditNoteLine
from broker.http.shapes import Currency, MoneyOut, Reason, RequestBody, Whole, Yuan, created_at_field, read_fields
from pricing.money import Money


class CreditedLineIn(RequestBody):
    position: Whole = Field(ge=1, description="The line of the invoice, by its position.", examples=[1])
    amount: Yuan = Field(gt=0, description="What is taken back of it, in yuan, before tax on top.", examples=["6.80"])


class CreditNoteIn(RequestBody):
    invoice_id: str = Field(description="The final invoice that it is against.", examples=["inv_01k"])
    reason: Reason
    lines: list[CreditedLineIn] = Field(
        min_length=1,
        max_length=1000,
        description="What is taken back, line by line; tax follows by itself.",
        examples=[[{"position": 1, "amount": "6.80"}]],
    )
    currency: Currency = "CNY"

    def read_credit_note(self) -> NewCreditNote:
        lines = [CreditedLine(line.position, Money.from_decimal(line.amount)) for line in self.lines]
        return NewCreditNote(self.invoice_id, self.reason, lines)


class CreditedLineOut(BaseModel):
    position: int = Field(description="The line of the invoice, by its position.", examples=[1])
    amount: MoneyOut = Field(
        description="What is taken back of it, before tax on top.", examples=[{"amount": "6.80", "currency": "CNY"}]
    )


class CreditNoteOut(BaseModel):
    id: str = Field(description="Credit note id.", examples=["crn_01k"])
    object: Literal["credit_note"] = Field(
        default="credit_note", description="Kind of object.", examples=["credit_note"]
    )
    number: str = Field(description="Without gaps, in a series of its own.", examples=["CN-2026-000001"])
    customer_id: str = Field(description="Who gets it.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    invoice_id: str = Field(description="The invoice that it is against.", examples=["inv_01k"])
    reason: str = Field(description="Why it was issued.", examples=["Run of 3 November gone wrong"])
    author: str = Field(description="The key that issued it.", examples=["key_01k"])
    total: MoneyOut = Field(
        description="What it takes back, tax and all.", examples=[{"amount": "6.80", "currency": "CNY"}]
    )
    tax: MoneyOut = Field(description="The tax in the total.", examples=[{"amount": "0.00", "currency": "CNY"}])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: CreditNote) -> "CreditNoteOut":
        own = read_fields(cls, row)
        sums = {"total": MoneyOut.of_micros(row.total_micros), "tax": MoneyOut.of_micros(row.tax_micros)}
        return cls.model_validate(own | sums)


class CreditNoteWithLinesOut(CreditNoteOut):
    lines: list[CreditedLineOut] = Field(description="In the invoice's order.", examples=[[{"position": 1}]])
    fapiao_debt: MoneyOut | None = Field(
        description="What fapiao of its customer say now beyond what was consumed (欠票): red ones are due;"
        " null: nothing.",
        examples=[{"amount": "32.00", "currency": "CNY"}],
    )

    @classmethod
    def with_lines(cls, row: CreditNote, lines: Sequence[CreditNoteLine], debt: Money) -> "CreditNoteWithLinesOut":
        shown = [
            CreditedLineOut(position=line.position, amount=MoneyOut.of_micros(line.amount_micros)) for line in lines
        ]
        owed = MoneyOut.of(debt) if debt.micros else None
        return cls(**CreditNoteOut.of(row).model_dump(), lines=shown, fapiao_debt=owed)

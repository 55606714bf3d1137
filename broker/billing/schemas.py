"""API shapes of invoices."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from broker.billing.model import InvoiceStatus, LineKind
from broker.billing.tables import Invoice, InvoiceLine
from broker.http.shapes import MoneyOut, RequestBody, as_hours, created_at_field, written_like
from pricing.money import Money
from pricing.usage import Unit

MONTH_PATTERN = r"^2\d{3}-(0[1-9]|1[0-2])$"
LIKE_A_MONTH = written_like(MONTH_PATTERN, "2026-11")


class InvoiceDraftIn(RequestBody):
    contract_id: str = Field(description="Whose usage to invoice.", examples=["con_01k"])
    month: Annotated[str, LIKE_A_MONTH] = Field(
        pattern=MONTH_PATTERN, description="Billing month.", examples=["2026-11"]
    )


class PaymentIn(RequestBody):
    from_credit: bool = Field(
        default=False,
        description="Pay it by the customer's credit, as far as that reaches, instead of by money that came in: first "
        "by that of its contract, then by that of others.",
        examples=[False],
    )


class InvoiceLineOut(BaseModel):
    position: int = Field(description="Its place on the invoice, from 1 on.", examples=[1])
    kind: LineKind = Field(
        description="Hours in advance, usage, the part of it that an advance has paid, what the month's volume tiers "
        "take off, tax on top, or a correction: usage that is late for a closed month, or, below zero, what is taken "
        "back of its final invoice.",
        examples=["usage"],
    )
    description: str = Field(description="The line for people.", examples=["GPU-hours, job job_01k"])
    job_id: str | None = Field(
        description="The job that used it, or the stream (`str_`) of the source that reported it.", examples=["job_01k"]
    )
    meter: Literal["gpu_seconds", "tokens"] | None = Field(
        description="gpu_seconds or tokens; null: the line bills no meter, and has no quantity and no price.",
        examples=["gpu_seconds"],
    )
    quantity: int | None = Field(description="In the meter's own unit: GPU-seconds or tokens.", examples=[95])
    gpu_hours: str | None = Field(description="The quantity in GPU-hours, to four places.", examples=["0.0264"])
    unit_price: str | None = Field(
        description="Yuan per GPU-hour or per token; null: it has no single one.", examples=["5.2"]
    )
    rate_card_version: str | None = Field(description="The rate card of the price.", examples=["2026-01-01"])
    used_month: str | None = Field(
        description="Billing month that the usage is of; a correction is of an earlier one.", examples=["2026-11"]
    )
    amount: MoneyOut = Field(
        description="Its share of the meter at this price, which is rounded once, half-even to the fen.",
        examples=[{"amount": "0.14", "currency": "CNY"}],
    )

    @classmethod
    def of(cls, row: InvoiceLine) -> "InvoiceLineOut":
        price = row.unit_price
        seconds = row.quantity if row.meter == Unit.GPU_SECONDS else None
        return cls.model_validate(
            {
                "position": row.position,
                "kind": row.kind,
                "description": row.description,
                "job_id": row.job_id,
                "meter": row.meter,
                "quantity": row.quantity,
                "gpu_hours": None if seconds is None else as_hours(seconds),
                "unit_price": None if price is None else format(price.normalize(), "f"),
                "rate_card_version": row.rate_card_version,
                "used_month": row.used_month,
                "amount": MoneyOut.of_micros(row.amount_micros),
            }
        )


class InvoiceOut(BaseModel):
    id: str = Field(description="Invoice id.", examples=["inv_01k"])
    object: Literal["invoice"] = Field(default="invoice", description="Kind of object.", examples=["invoice"])
    number: str | None = Field(description="Given when it is finalized, without gaps.", examples=["INV-2026-000001"])
    customer_id: str = Field(description="Who pays.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    kind: Literal["advance", "usage"] = Field(description="Hours in advance, or a month's usage.", examples=["usage"])
    month: str | None = Field(description="Billing month of a usage invoice.", examples=["2026-11"])
    status: InvoiceStatus = Field(
        description="A draft may still change; paid: nothing is due any more; written_off: nobody will pay the rest; "
        "void: it asks for nothing, since its order was cancelled or not paid.",
        examples=["open"],
    )
    total: MoneyOut = Field(description="Sum of the lines.", examples=[{"amount": "2600.00", "currency": "CNY"}])
    tax: MoneyOut = Field(description="The tax in the total.", examples=[{"amount": "0.00", "currency": "CNY"}])
    credited: MoneyOut = Field(
        description="Taken back by credit notes.", examples=[{"amount": "0.00", "currency": "CNY"}]
    )
    due: MoneyOut = Field(
        description="Still to be paid: the total less what was credited, written off and paid; a draft's is not yet.",
        examples=[{"amount": "2600.00", "currency": "CNY"}],
    )
    finalized_at: datetime | None = Field(
        description="When it got its number (UTC).", examples=["2026-12-01T02:00:00Z"]
    )
    due_on: date | None = Field(
        description="To be paid by the end of this day in the contract's time zone: as many days after it was "
        "finalized as the contract gave then; a draft has none.",
        examples=["2026-12-31"],
    )
    paid_at: datetime | None = Field(
        description="When it was paid (UTC); what came for a void one is the customer's credit.",
        examples=["2026-12-05T02:00:00Z"],
    )
    expires_at: datetime | None = Field(
        description="An order that is not paid by then is void (UTC).", examples=["2026-12-31T02:00:00Z"]
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Invoice) -> "InvoiceOut":
        own = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        sums = {"total": row.total, "tax": row.tax, "credited": Money(row.credited_micros), "due": row.due}
        return cls.model_validate(own | {name: MoneyOut.of(money) for name, money in sums.items()})


class InvoiceWithLinesOut(InvoiceOut):
    lines: list[InvoiceLineOut] = Field(description="In their order.", examples=[[{"kind": "usage"}]])

    @classmethod
    def with_lines(cls, row: Invoice, lines: list[InvoiceLine]) -> "InvoiceWithLinesOut":
        return cls(**InvoiceOut.of(row).model_dump(), lines=[InvoiceLineOut.of(line) for line in lines])

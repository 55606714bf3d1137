"""API shapes of invoices."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from broker.billing.label_shares import share_by_label
from broker.billing.model import InvoiceStatus, LineKind, sum_lines
from broker.billing.reference import make_reference
from broker.billing.rows import make_rows
from broker.billing.tables import Invoice, InvoiceLine
from broker.billing.upcoming import UpcomingInvoice
from broker.http.shapes import MoneyOut, Reason, RequestBody, as_hours, created_at_field, read_fields, written_like
from pricing.evidence.document import read_evidence as parse_evidence
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
    overdue_first: bool = Field(
        default=True,
        description="Whether the money settles what is overdue of the contract before this invoice; false: it is all "
        "for this one. Of a closed contract only what is overdue is paid.",
        examples=[True],
    )


class AppliedGrantOut(BaseModel):
    grant_id: str = Field(description="The grant.", examples=["gra_01k"])
    quantity: int = Field(description="In the line's meter.", examples=[95])


class InvoiceLineOut(BaseModel):
    position: int = Field(description="Its place on the invoice, from 1 on.", examples=[1])
    kind: LineKind = Field(
        description="Hours in advance, usage, the part of it that an advance has paid, what the month's volume tiers "
        "take off, tax on top, a correction (usage that is late for a closed month, or, below zero, what is taken back "
        "of its final invoice), or usage that the house bears.",
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
    project_id: str | None = Field(description="The project that used it.", examples=["prj_01k"])
    list_price: str | None = Field(
        description="Yuan per GPU-hour or per token without a contract: on demand, by the same card, on its GPU type; "
        "null: several types with several prices, or nothing that was used.",
        examples=["6.8"],
    )
    list_amount: MoneyOut | None = Field(
        description="All of it at those prices.", examples=[{"amount": "0.18", "currency": "CNY"}]
    )
    grants: list[AppliedGrantOut] = Field(description="Which grants paid for how much of it.", examples=[[]])
    overage: int = Field(
        description="How many of its GPU-seconds no grant covers, though the contract has grants.", examples=[0]
    )
    amount: MoneyOut = Field(
        description="Its share of the meter at this price, which is rounded once, half-even to the fen.",
        examples=[{"amount": "0.14", "currency": "CNY"}],
    )

    @classmethod
    def of(cls, row: InvoiceLine) -> "InvoiceLineOut":
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
                "unit_price": _write_price(row.unit_price),
                "rate_card_version": row.rate_card_version,
                "used_month": row.used_month,
                "project_id": row.project_id,
                "list_price": _write_price(row.list_price),
                "list_amount": None if row.list_amount_micros is None else MoneyOut.of_micros(row.list_amount_micros),
                "grants": row.grants,
                "overage": row.overage,
                "amount": MoneyOut.of_micros(row.amount_micros),
            }
        )


def _write_price(price: Decimal | None) -> str | None:
    return None if price is None else format(price.normalize(), "f")


class InvoiceOut(BaseModel):
    id: str = Field(description="Invoice id.", examples=["inv_01k"])
    object: Literal["invoice"] = Field(default="invoice", description="Kind of object.", examples=["invoice"])
    number: str | None = Field(description="Given when it is finalized, without gaps.", examples=["INV-2026-000001"])
    payment_reference: str | None = Field(
        description="To be written into a bank transfer, so that it is matched (汇款附言); a draft has none.",
        examples=["RF94INV2026000001"],
    )
    customer_id: str = Field(description="Who pays.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    contract_number: str = Field(
        description="What finance knew the contract by when it was written (合同编号).", examples=["HT-2026-017"]
    )
    purchase_order: str | None = Field(description="The customer's purchase order.", examples=["PO-7781"])
    kind: Literal["advance", "usage"] = Field(description="Hours in advance, or a month's usage.", examples=["usage"])
    month: str | None = Field(description="Billing month of a usage invoice.", examples=["2026-11"])
    status: InvoiceStatus = Field(
        description="A draft may still change; open: it is final; partly_paid: so is it, and a part was paid; "
        "paid: nothing is due any more; written_off: nobody will pay the rest; "
        "void: it asks for nothing, since its order was cancelled or not paid, or finance made it void.",
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
    payment_url: str | None = Field(
        description="Where it can be paid at once, by card or what else the page offers; null: by a bank transfer.",
        examples=["https://invoice.stripe.com/i/acct_1/test_1"],
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Invoice) -> "InvoiceOut":
        own = read_fields(cls, row)
        own["status"] = row.shown_status
        own["payment_url"] = row.payment_url if row.due.micros else None
        own["payment_reference"] = None if row.number is None else make_reference(row.number)
        sums = {"total": row.total, "tax": row.tax, "credited": Money(row.credited_micros), "due": row.due}
        return cls.model_validate(own | {name: MoneyOut.of(money) for name, money in sums.items()})


class InvoiceVoidIn(RequestBody):
    reason: Reason


class InvoiceWithLinesOut(InvoiceOut):
    lines: list[InvoiceLineOut] = Field(description="In their order.", examples=[[{"kind": "usage"}]])
    borne: list[InvoiceLineOut] = Field(
        description="Usage that costs nothing, since the house bears it: work lost by our doing, or beyond a promise.",
        examples=[[]],
    )

    fapiao_debt: MoneyOut | None = Field(
        default=None,
        description="Where something of it was given back: what fapiao of its customer say beyond what was consumed "
        "(欠票). They need red ones; null: none does.",
        examples=[{"amount": "32.00", "currency": "CNY"}],
    )

    @classmethod
    def with_lines(cls, row: Invoice, lines: list[InvoiceLine], debt: Money | None = None) -> "InvoiceWithLinesOut":
        shown = MoneyOut.of(debt) if debt is not None and debt.micros else None
        own = InvoiceOut.of(row).model_dump()
        return cls(**own, lines=list_billed(lines), borne=list_borne(lines), fapiao_debt=shown)


def list_billed(lines: Iterable[InvoiceLine]) -> list[InvoiceLineOut]:
    """List the lines that add up to the total."""
    return [InvoiceLineOut.of(line) for line in lines if line.kind != LineKind.BORNE]


def list_borne(lines: Iterable[InvoiceLine]) -> list[InvoiceLineOut]:
    """List the lines of what the house bears."""
    return [InvoiceLineOut.of(line) for line in lines if line.kind == LineKind.BORNE]


class UpcomingInvoiceOut(BaseModel):
    object: Literal["upcoming_invoice"] = Field(
        default="upcoming_invoice", description="Kind of object.", examples=["upcoming_invoice"]
    )
    customer_id: str = Field(description="Who will pay.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    contract_number: str = Field(description="What finance knows it by (合同编号).", examples=["HT-2026-017"])
    purchase_order: str | None = Field(description="The customer's purchase order.", examples=["PO-7781"])
    month: str = Field(description="The billing month under way.", examples=["2026-11"])
    starts_at: datetime = Field(description="When it began (UTC).", examples=["2026-10-31T16:00:00Z"])
    ends_at: datetime = Field(description="When it will be over (UTC).", examples=["2026-11-30T16:00:00Z"])
    as_of: datetime = Field(
        description="What was used and charged by then is in it (UTC), and nothing of later.",
        examples=["2026-11-24T10:00:00Z"],
    )
    total: MoneyOut = Field(description="Sum of the lines.", examples=[{"amount": "26.00", "currency": "CNY"}])
    tax: MoneyOut = Field(description="The tax in the total.", examples=[{"amount": "0.00", "currency": "CNY"}])
    lines: list[InvoiceLineOut] = Field(description="As an invoice would have them now.", examples=[[]])
    borne: list[InvoiceLineOut] = Field(description="Usage that costs nothing: the house bears it.", examples=[[]])

    @classmethod
    def of(cls, upcoming: UpcomingInvoice, now: datetime) -> "UpcomingInvoiceOut":
        terms, month, rows = upcoming.terms, upcoming.month, make_rows(upcoming.lines)
        return cls(
            customer_id=terms.customer_id,
            contract_id=terms.id,
            contract_number=terms.contract_number,
            purchase_order=terms.purchase_order,
            month=month,
            starts_at=terms.month_start(month),
            ends_at=terms.month_end(month),
            as_of=now,
            total=MoneyOut.of(sum_lines(upcoming.lines)),
            tax=MoneyOut.of(upcoming.tax),
            lines=list_billed(rows),
            borne=list_borne(rows),
        )


class LabelShareOut(BaseModel):
    value: str | None = Field(description="Value of the label; null: usage without it.", examples=["search"])
    amount: MoneyOut = Field(
        description="What its usage costs, less what grants paid of it.",
        examples=[{"amount": "3.02", "currency": "CNY"}],
    )


class BreakdownOut(BaseModel):
    object: Literal["invoice_breakdown"] = Field(
        default="invoice_breakdown", description="Kind of object.", examples=["invoice_breakdown"]
    )
    invoice_id: str = Field(description="The invoice.", examples=["inv_01k"])
    label: str = Field(description="By which label.", examples=["team"])
    data: list[LabelShareOut] = Field(description="By value, usage without the label last.", examples=[[]])
    undivided: MoneyOut = Field(
        description="What is of no usage of the month: tax on top, true-ups, tiers, corrections of closed months.",
        examples=[{"amount": "0.58", "currency": "CNY"}],
    )
    total: MoneyOut = Field(description="All of it.", examples=[{"amount": "10.17", "currency": "CNY"}])

    @classmethod
    def of(cls, document: dict[str, Any], label: str) -> "BreakdownOut":
        evidence = parse_evidence(document)
        shares = share_by_label(evidence, label)
        order = sorted(shares.amounts, key=lambda value: (value is None, value or ""))
        return cls(
            invoice_id=evidence.invoice.id,
            label=label,
            data=[LabelShareOut(value=value, amount=MoneyOut.of(shares.amounts[value])) for value in order],
            undivided=MoneyOut.of(shares.undivided),
            total=MoneyOut.of(evidence.invoice.total),
        )

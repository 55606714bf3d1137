"""API shapes of what a payment by hand has paid."""

from pydantic import BaseModel, Field

from broker.arrears.paying import Settlement
from broker.billing.schemas import InvoiceWithLinesOut
from broker.http.shapes import MoneyOut


class SettledInvoiceOut(BaseModel):
    invoice_id: str = Field(description="The invoice.", examples=["inv_01k"])
    number: str | None = Field(description="Its number.", examples=["INV-2026-000001"])
    amount: MoneyOut = Field(description="What was paid of it.", examples=[{"amount": "320.00", "currency": "CNY"}])


class PaidInvoiceOut(InvoiceWithLinesOut):
    settled: list[SettledInvoiceOut] = Field(
        description="What the payment has paid, in this order: others that were overdue come before the invoice that "
        "is named, which is not among them where nothing was left for it. Do not send the payment again then: pay "
        "what its `due` says.",
        examples=[[{"invoice_id": "inv_01k"}]],
    )
    credit: MoneyOut = Field(
        description="The credit that the customer has now.", examples=[{"amount": "0.00", "currency": "CNY"}]
    )

    @classmethod
    def of_payment(cls, invoice: InvoiceWithLinesOut, settlement: Settlement) -> "PaidInvoiceOut":
        settled = [
            SettledInvoiceOut(invoice_id=each.invoice_id, number=each.number, amount=MoneyOut.of(each.amount))
            for each in settlement.settled
        ]
        return cls(**invoice.model_dump(), settled=settled, credit=MoneyOut.of(settlement.credit))

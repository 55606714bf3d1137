"""Payments by hand: `POST /invoices/{id}/pay`. The route is here, since what is overdue is settled first."""

from broker.arrears.paying import NamedPayment, take_payment
from broker.arrears.payment_schemas import PaidInvoiceOut
from broker.billing import service as billing
from broker.billing.schemas import InvoiceWithLinesOut, PaymentIn
from broker.http.edge import FinanceWork, feature_router

router = feature_router("/invoices", "billing")


@router.post("/{invoice_id}/pay")
async def pay_invoice(work: FinanceWork, invoice_id: str, body: PaymentIn | None = None) -> PaidInvoiceOut:
    """Mark an invoice as paid, or pay it by the customer's credit; a paid advance credits its hours to the contract.

    Where others of its contract are overdue the money settles those first, and what is left of it this one: `settled`
    says what was paid. `overdue_first: false` pays this one all the same.
    """
    wanted = body or PaymentIn()
    payment = NamedPayment(invoice_id, from_credit=wanted.from_credit, overdue_first=wanted.overdue_first)
    settlement = await take_payment(work, payment)
    invoice = await billing.get_invoice(work, invoice_id)
    shown = InvoiceWithLinesOut.with_lines(invoice, await billing.list_lines(work, invoice.id))
    return PaidInvoiceOut.of_payment(shown, settlement)

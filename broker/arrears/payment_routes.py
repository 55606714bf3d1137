"""Payments by hand: `POST /invoices/{id}/pay`. The route is here, since what is overdue is settled first."""

from broker.arrears.paying import take_payment
from broker.billing import service as billing
from broker.billing.schemas import InvoiceWithLinesOut, PaymentIn
from broker.http.edge import FinanceWork, feature_router

router = feature_router("/invoices", "billing")


@router.post("/{invoice_id}/pay")
async def pay_invoice(work: FinanceWork, invoice_id: str, body: PaymentIn | None = None) -> InvoiceWithLinesOut:
    """Mark an invoice as paid, or pay it by the customer's credit; a paid advance credits its hours to the contract.

    Where others of its contract are overdue the money settles those first, and what is left of it this one.
    """
    from_credit = body is not None and body.from_credit
    await take_payment(work, invoice_id, from_credit=from_credit)
    invoice = await billing.get_invoice(work, invoice_id)
    return InvoiceWithLinesOut.with_lines(invoice, await billing.list_lines(work, invoice.id))

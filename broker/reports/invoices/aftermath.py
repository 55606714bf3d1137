"""What became of an invoice: what was paid of it and from where, what was taken back, what is disputed, and by whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select

from broker.approvals.model import ApprovalStatus
from broker.approvals.tables import Approval
from broker.billing.tables import Adjustment, CreditNote, Dispute
from broker.payments.tables import Payment, PaymentAllocation
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class InvoiceReceipt:
    """A part of a payment that settles an invoice, or did until it was undone."""

    payment_id: str
    value_on: date
    payer: str
    serial: str
    amount: Money
    fee: Money
    automatic: bool
    undone_reason: str | None


@dataclass(frozen=True)
class Aftermath:
    """What became of an invoice, each the oldest first; `proposals` wait for another person's word."""

    receipts: Sequence[InvoiceReceipt]
    credit_notes: Sequence[CreditNote]
    adjustments: Sequence[Adjustment]
    disputes: Sequence[Dispute]
    proposals: Sequence[Approval]


async def read_aftermath(work: Work, invoice_id: str) -> Aftermath:
    """Read what became of an invoice."""
    credit_notes = select(CreditNote).where(CreditNote.invoice_id == invoice_id).order_by(CreditNote.id)
    adjustments = select(Adjustment).where(Adjustment.invoice_id == invoice_id).order_by(Adjustment.id)
    disputes = select(Dispute).where(Dispute.invoice_id == invoice_id).order_by(Dispute.id)
    proposals = select(Approval).where(
        Approval.subject_id == invoice_id,
        Approval.status == ApprovalStatus.PROPOSED.value,
        Approval.expires_at > work.now,
    )
    return Aftermath(
        receipts=await list_receipts(work, invoice_id),
        credit_notes=(await work.session.scalars(credit_notes)).all(),
        adjustments=(await work.session.scalars(adjustments)).all(),
        disputes=(await work.session.scalars(disputes)).all(),
        proposals=(await work.session.scalars(proposals.order_by(Approval.id))).all(),
    )


async def list_receipts(work: Work, invoice_id: str) -> list[InvoiceReceipt]:
    """List what payments settled of an invoice, what was undone among it."""
    query = (
        select(PaymentAllocation, Payment)
        .join(Payment, Payment.id == PaymentAllocation.payment_id)
        .where(PaymentAllocation.invoice_id == invoice_id)
        .order_by(PaymentAllocation.id)
    )
    return [
        InvoiceReceipt(
            payment_id=payment.id,
            value_on=payment.value_on,
            payer=payment.payer_name,
            serial=payment.serial,
            amount=row.amount,
            fee=row.settles - row.amount,
            automatic=row.automatic,
            undone_reason=row.undone_reason,
        )
        for row, payment in await work.session.execute(query)
    ]

"""Chargebacks: the payer's bank or the provider takes a payment back; lost, the money is gone and the invoice owed."""

from dataclasses import dataclass, replace

from broker import errors
from broker.billing import disputes
from broker.billing.adjustments import BadDebt, write_off
from broker.billing.dispute_model import DisputeKind, DisputeStatus, Remedy, choose_remedy
from broker.ledger import service as ledger
from broker.payments.allocating import list_live
from broker.payments.claiming import lock_payment, open_rows
from broker.payments.matching import Share
from broker.payments.model import AllocationKind
from broker.payments.tables import PaymentAllocation
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class Chargeback:
    """What of a payment is taken back, and the number of the case at the bank or provider; None: all of it."""

    payment_id: str
    reason: str
    invoice_id: str | None = None
    amount: Money | None = None
    case_number: str | None = None


async def open_chargeback(work: Work, new: Chargeback) -> disputes.Dispute:
    """Open a dispute of what a payment paid of an invoice. Raises: NotFound, IllegalTransition, InvalidRequest."""
    payment = await lock_payment(work, new.payment_id)
    paid = [row for row in await list_live(work, payment.id) if row.kind == AllocationKind.INVOICE]
    row = _choose(paid, new.invoice_id)
    amount = new.amount or row.amount
    if not Money.zero() < amount <= row.amount:
        raise errors.invalid_field("amount", f"must be above zero, and no more than was paid of it: {row.amount}")
    assert row.invoice_id is not None, "what pays is for an invoice"
    case = disputes.NewChargeback(row.invoice_id, payment.id, amount, new.reason, new.case_number)
    return await disputes.open_chargeback(work, case)


def _choose(paid: list[PaymentAllocation], invoice_id: str | None) -> PaymentAllocation:
    fitting = [row for row in paid if invoice_id in {None, row.invoice_id}]
    if not fitting:
        raise errors.invalid_field("invoice_id", "is none that the payment pays")
    if len(fitting) > 1:
        raise errors.invalid_field("invoice_id", f"must be one of {', '.join(str(row.invoice_id) for row in fitting)}")
    return fitting[0]


async def lose_dispute(work: Work, dispute_id: str, remedy: Remedy | None = None) -> disputes.Dispute:
    """End a dispute against the house: the books follow. Raises: NotFound, IllegalTransition, InvalidRequest."""
    found = await disputes.get_dispute(work, dispute_id)
    if found.kind == DisputeKind.LINE:
        return await disputes.lose_line(work, dispute_id, remedy)
    return await _lose_chargeback(work, found, remedy)


async def _lose_chargeback(work: Work, found: disputes.Dispute, remedy: Remedy | None) -> disputes.Dispute:
    assert found.payment_id is not None, "a chargeback is of a payment"
    payment = await lock_payment(work, found.payment_id)
    rows = [row for row in await list_live(work, payment.id) if row.invoice_id == found.invoice_id]
    allocating = await open_rows(work, rows)
    dispute = await disputes.lock_dispute(work, found.id)
    chosen = choose_remedy(DisputeKind(dispute.kind), remedy)
    disputes.end_dispute(work, dispute, DisputeStatus.LOST)
    row = _choose([each for each in rows if each.kind == AllocationKind.INVOICE], dispute.invoice_id)
    await allocating.undo(payment, row, f"chargeback {dispute.id}")
    kept = row.amount - dispute.amount
    if kept.micros:
        await allocating.allocate(payment, replace(_as_share(row), amount=kept), automatic=False)
        await allocating.write()
    payment.returned_micros += dispute.amount_micros
    await ledger.book_charged_back(work, dispute.amount, reference=dispute.id)
    dispute.remedy = chosen.value
    if chosen == Remedy.BAD_DEBT:
        reason = f"Chargeback {dispute.id}: {dispute.reason}"[:500]
        dispute.remedy_id = (await write_off(work, BadDebt(dispute.invoice_id, dispute.amount, reason))).id
    return dispute


def _as_share(row: PaymentAllocation) -> Share:
    return Share(AllocationKind(row.kind), row.customer_id, row.contract_id, row.invoice_id, row.amount)

"""Chargebacks: the payer's bank or the provider takes a payment back; lost, the money is gone and the invoice owed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from broker import errors
from broker.billing import disputes
from broker.billing.adjustments import BadDebt, write_off
from broker.billing.dispute_model import DisputeKind, DisputeStatus, Remedy, choose_remedy
from broker.billing.model import InvoiceStatus
from broker.ledger import service as ledger
from broker.payments.allocating import Allocating, list_live
from broker.payments.claiming import lock_payment, open_rows
from broker.payments.matching import Share
from broker.payments.model import AllocationKind
from broker.payments.tables import Payment, PaymentAllocation
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class Chargeback:
    """What of a payment is taken back, and the number of the case at the bank or provider; None: all of it.

    It is of what came for one invoice, or for the credit of a contract and no invoice.
    """

    payment_id: str
    reason: str
    invoice_id: str | None = None
    contract_id: str | None = None
    amount: Money | None = None
    case_number: str | None = None


async def open_chargeback(work: Work, new: Chargeback) -> disputes.Dispute:
    """Open a dispute of what came with a payment for an invoice, what of it is a credit too, or for a credit alone.

    Raises: NotFound, InvalidRequest.
    """
    payment = await lock_payment(work, new.payment_id)
    if new.case_number is not None:
        await disputes.require_new_case(work, new.case_number)
    place, came = _choose_place(await list_live(work, payment.id), new)
    standing = await disputes.list_standing_chargebacks(work, payment.id)
    there = sum((row.amount for row in came), Money.zero())
    there -= sum((each.amount for each in standing if _find_place(each) == place), Money.zero())
    amount = new.amount or there
    if not Money.zero() < amount <= there:
        raise errors.invalid_field("amount", f"must be above zero, and no more than came for it: {there}")
    contract_id = came[0].contract_id
    case = disputes.NewChargeback(contract_id, came[0].invoice_id, payment.id, amount, new.reason, new.case_number)
    return await disputes.open_chargeback(work, case)


def _find_place(row: PaymentAllocation | disputes.Dispute) -> str:
    """Find what money came for, or is charged back of: an invoice, or the contract whose credit it is."""
    return row.invoice_id or row.contract_id


def _choose_place(live: Sequence[PaymentAllocation], new: Chargeback) -> tuple[str, list[PaymentAllocation]]:
    """Choose what is charged back: what is named, or the one invoice that the payment came for, or the one credit."""
    named = new.invoice_id or new.contract_id
    of_invoices = [row for row in live if row.invoice_id is not None]
    places = dict.fromkeys(_find_place(row) for row in (live if named else of_invoices or live))
    fitting = [place for place in places if named in {None, place}]
    field = "invoice_id" if new.contract_id is None else "contract_id"
    if not fitting:
        raise errors.invalid_field(field, "is none for which the payment came")
    if len(fitting) > 1:
        raise errors.invalid_field(field, f"must be one of {', '.join(fitting)}; a contract is named by contract_id")
    return fitting[0], [row for row in live if _find_place(row) == fitting[0]]


async def lose_dispute(work: Work, dispute_id: str, remedy: Remedy | None = None) -> disputes.Dispute:
    """End a dispute against the house: the books follow. Raises: NotFound, IllegalTransition, InvalidRequest."""
    found = await disputes.get_dispute(work, dispute_id)
    if found.kind == DisputeKind.LINE:
        return await disputes.lose_line(work, dispute_id, remedy)
    return await _lose_chargeback(work, found, remedy)


async def _lose_chargeback(work: Work, found: disputes.Dispute, remedy: Remedy | None) -> disputes.Dispute:
    assert found.payment_id is not None, "a chargeback is of a payment"
    payment = await lock_payment(work, found.payment_id)
    rows = [row for row in await list_live(work, payment.id) if _find_place(row) == _find_place(found)]
    allocating = await open_rows(work, rows)
    dispute = await disputes.lock_dispute(work, found.id)
    chosen = choose_remedy(DisputeKind(dispute.kind), remedy)
    if chosen == Remedy.BAD_DEBT and dispute.invoice_id is None:
        raise errors.invalid_field("remedy", "is due_again where the payment is a credit: no invoice is owed by it")
    disputes.end_dispute(work, dispute, DisputeStatus.LOST)
    await _take_back(allocating, payment, rows, dispute)
    payment.returned_micros += dispute.amount_micros
    await ledger.book_charged_back(work, dispute.amount, reference=dispute.id)
    dispute.remedy = chosen.value
    if chosen == Remedy.BAD_DEBT and dispute.invoice_id is not None:
        reason = f"Chargeback {dispute.id}: {dispute.reason}"[:500]
        dispute.remedy_id = (await write_off(work, BadDebt(dispute.invoice_id, dispute.amount, reason))).id
    return dispute


async def _take_back(
    allocating: Allocating, payment: Payment, rows: Sequence[PaymentAllocation], dispute: disputes.Dispute
) -> None:
    """Take back what is lost of what came for an invoice: first what pays it, then what is a credit.

    Raises: InvalidRequest, where a credit that it became is used.
    """
    left = dispute.amount
    for row in sorted(rows, key=lambda each: (each.kind != AllocationKind.INVOICE, each.id)):
        if not left.micros:
            break
        taken = min(left, row.amount)
        left -= taken
        await allocating.undo(payment, row, f"chargeback {dispute.id}")
        for share in _plan_kept(row, row.amount - taken, _read_due(allocating, row)):
            await allocating.allocate(payment, share, automatic=False)
    assert not left.micros, "what is charged back came, and is not unclaimed while the chargeback stands"
    await allocating.write()


def _read_due(allocating: Allocating, row: PaymentAllocation) -> Money:
    if row.kind != AllocationKind.INVOICE or row.invoice_id is None:
        return Money.zero()
    invoice = allocating.invoices[row.invoice_id]
    return invoice.due if invoice.status == InvoiceStatus.OPEN else Money.zero()


def _plan_kept(row: PaymentAllocation, kept: Money, due: Money) -> Iterator[Share]:
    """Plan where what is not lost of an allocation goes: to what is due again, and beyond that to the credit."""
    pays = min(kept, due)
    own = row.customer_id, row.contract_id, row.invoice_id
    if pays.micros:
        yield Share(AllocationKind.INVOICE, *own, pays, fee=min(Money(row.fee_micros), due - pays))
    if pays < kept:
        yield Share(AllocationKind.CREDIT, *own, kept - pays)

"""Refunds: money goes back by a way that is named, from its request to the bank's word that it arrived, or did not."""

from dataclasses import dataclass

from sqlalchemy import Select, func, select

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.payments.claiming import lock_payment
from broker.payments.coming_back import CameBack, find_return
from broker.payments.model import NEXT_STATUSES, Payer, PaymentSource, RefundMethod, RefundSource, RefundStatus
from broker.payments.port import find_port
from broker.payments.receiving import take_payments_turn
from broker.payments.tables import Payment, Refund
from broker.persistence.database import narrow
from broker.second_person import Giving, find_allowed, require_second_person
from broker.work import Work
from pricing.money import Money

NOBODY, NOT_TOLD = Payer(), CameBack()
BOOKED_FROM = {
    RefundSource.CREDIT: ledger.AccountKind.CUSTOMER_CREDIT,
    RefundSource.PAYMENT: ledger.AccountKind.UNMATCHED_RECEIPTS,
}


@dataclass(frozen=True)
class NewRefund:
    """What is to go back of a contract's credit or refunded units, by which way, to whom; None: all that there is."""

    contract_id: str
    taken_from: RefundSource
    method: RefundMethod
    reason: str
    payee: Payer = NOBODY
    amount: Money | None = None


@dataclass(frozen=True)
class ReturnToPayer:
    """What of an unmatched payment goes back to its payer, or to whom else; None: all that is left, the payer."""

    reason: str
    amount: Money | None = None
    payee: Payer | None = None


async def request_refund(work: Work, new: NewRefund) -> Refund:
    """Ask for money of a contract to be paid back. What becomes a credit is done at once.

    Raises: NotFound, InvalidRequest.
    """
    await take_payments_turn(work)
    terms = await contracts.lock_contract(work, new.contract_id)
    _check_way(new)
    amount = _check_amount(new.amount, await _read_available(work, terms, new.taken_from))
    if new.method != RefundMethod.CUSTOMER_CREDIT:
        require_second_person(work, Giving.REFUND, amount)
    own = {"customer_id": terms.customer_id, "contract_id": terms.id, "taken_from": new.taken_from.value}
    row = await _write(work, amount, new.method, new.payee, new.reason, **own)
    if new.method == RefundMethod.CUSTOMER_CREDIT:
        await ledger.book_refund_credited(work, terms, amount, reference=row.id)
        row.status, row.ended_by, row.ended_at = RefundStatus.CONFIRMED.value, work.actor.id, work.now
        return row
    await _request(work, terms, row)
    return row


def _check_way(new: NewRefund) -> None:
    if new.method == RefundMethod.CUSTOMER_CREDIT and new.taken_from != RefundSource.GRANT:
        raise errors.invalid_field("method", "a credit stays one without a refund; name a way by which money goes back")
    if new.method == RefundMethod.BANK_TRANSFER:
        check_payee(new.payee)


def check_payee(payee: Payer) -> None:
    """Check that a bank can send money to a payee. Raises: InvalidRequest."""
    for name in ("name", "account"):
        if not getattr(payee, name):
            raise errors.invalid_field(f"payee.{name}", "is needed for a bank transfer")


def _check_amount(amount: Money | None, there: Money) -> Money:
    if not there.micros:
        raise errors.invalid_field("amount", "there is nothing to be paid back of it")
    asked = amount or there
    if asked > there:
        raise errors.invalid_field("amount", f"is more than there is to be paid back: {there}")
    return asked


async def _read_available(work: Work, terms: ContractTerms, source: RefundSource) -> Money:
    """Read what of a contract can be paid back: its credit, or what is owed back and nobody has asked for yet."""
    if source == RefundSource.CREDIT:
        return await ledger.read_credit(work, terms.id)
    asked = select(func.coalesce(func.sum(Refund.amount_micros), 0)).where(
        Refund.contract_id == terms.id, Refund.status == RefundStatus.REQUESTED.value
    )
    return await ledger.read_owed_back(work, terms.id) - Money(int(await work.session.scalar(asked) or 0))


async def return_payment(work: Work, payment_id: str, asked: ReturnToPayer) -> Refund:
    """Ask for what is unmatched of a payment to go back. Raises: NotFound, IllegalTransition, InvalidRequest."""
    payment = await lock_payment(work, payment_id)
    if not payment.open_amount.micros:
        raise errors.IllegalTransition(
            f"Nothing is left of payment {payment.id}: it is {payment.status.value}. Unclaim it first.",
            status_before=payment.status.value,
        )
    amount, payee = _check_amount(asked.amount, payment.open_amount), asked.payee or payment.payer
    method = RefundMethod.STRIPE if payment.source == PaymentSource.STRIPE else RefundMethod.BANK_TRANSFER
    if method == RefundMethod.BANK_TRANSFER:
        check_payee(payee)
    await _require_payer(work, payment, payee, amount)
    own = {"customer_id": payment.customer_id, "payment_id": payment.id, "taken_from": RefundSource.PAYMENT.value}
    row = await _write(work, amount, method, payee, asked.reason, **own)
    payment.returned_micros += amount.micros
    await _request(work, None, row)
    return row


async def _require_payer(work: Work, payment: Payment, payee: Payer, amount: Money) -> None:
    """Require that an amount which needs two people goes back to its payer alone. Raises: InvalidRequest.

    What else of the payment goes to others counts with it: an amount in parts is one.
    """
    allowed = find_allowed(work, Giving.REFUND)
    if payment.source == PaymentSource.STRIPE or allowed is None or _is_payer(payment, payee.account):
        return
    before = (await work.session.scalars(select_refunds(payment_id=payment.id))).all()
    others = [each for each in before if each.status != RefundStatus.FAILED]
    total = sum((each.amount for each in others if not _is_payer(payment, each.payee_account)), amount)
    if total > allowed:
        cure = "claim it as a credit, and propose a refund of that with POST /v1/approvals"
        raise errors.invalid_field(
            "payee.account", f"is not the payer's, and {total} of the payment in all need two people then: {cure}"
        )


def _is_payer(payment: Payment, account: str) -> bool:
    return bool(account) and account == payment.payer.account


async def _write(
    work: Work, amount: Money, method: RefundMethod, payee: Payer, reason: str, **own: str | None
) -> Refund:
    row = Refund(
        id=work.new_id("ref"),
        method=method.value,
        status=RefundStatus.REQUESTED.value,
        amount_micros=amount.micros,
        payee_name=payee.name,
        payee_account=payee.account,
        payee_bank=payee.bank,
        reason=reason,
        author=work.actor.id,
        created_at=work.now,
        **own,
    )
    work.session.add(row)
    await work.session.flush()
    return row


async def _request(work: Work, terms: ContractTerms | None, row: Refund) -> None:
    """Book that a refund is asked for, and hand it to whoever sends it. Raises: InvalidRequest."""
    source = BOOKED_FROM.get(RefundSource(row.taken_from))
    if source is not None:
        await ledger.book_refund_requested(work, terms, source, row.amount, reference=row.id)
    await find_port(RefundMethod(row.method)).send_refund(work, row)


async def mark_sent(work: Work, refund_id: str, bank_reference: str) -> Refund:
    """Note that a refund was sent, under which reference of the bank. Raises: NotFound, IllegalTransition."""
    row, terms = await _lock(work, refund_id)
    _require_next(row, RefundStatus.SENT)
    await ledger.book_refund_sent(work, terms, row.amount, reference=row.id)
    row.status, row.bank_reference = RefundStatus.SENT.value, bank_reference
    row.sent_by, row.sent_at = work.actor.id, work.now
    return row


async def confirm_refund(work: Work, refund_id: str) -> Refund:
    """Note that a refund arrived. Raises: NotFound, IllegalTransition."""
    row, _terms = await _lock(work, refund_id)
    _end(work, row, RefundStatus.CONFIRMED)
    return row


async def fail_refund(work: Work, refund_id: str, failure: str, back: CameBack = NOT_TOLD) -> Refund:
    """Note that a refund was not sent, or came back: its money is again what it was taken from.

    One that failed before is told by which payment its money came back after all, once.
    Raises: NotFound, IllegalTransition; InvalidRequest, where a payment that looks like its money is not named.
    """
    row, terms = await _lock(work, refund_id)
    is_told_late = row.status == RefundStatus.FAILED and row.came_back_id is None and back.payment_id is not None
    if not is_told_late:
        _require_next(row, RefundStatus.FAILED)
    payment = await find_return(work, row, back)
    if not is_told_late:
        await _keep_after_all(work, terms, row, row.amount, is_on_statement=payment is not None)
        _end(work, row, RefundStatus.FAILED)
        row.failure = failure
    elif payment is not None:
        await ledger.book_return_found(work, row.amount, reference=row.id)
    if payment is not None:
        told = f"refund {row.id} that came back"
        payment.reason = f"{payment.reason}; {told}" if payment.returned_micros else told
        payment.returned_micros += row.amount_micros
        row.came_back_id = payment.id
    return row


async def lower_refund(work: Work, refund_id: str, amount: Money, failure: str) -> Refund:
    """Note that only so much of a refund goes back: the rest is again what it was taken from.

    Raises: NotFound, IllegalTransition.
    """
    row, terms = await _lock(work, refund_id)
    _require_next(row, RefundStatus.FAILED)
    assert Money.zero() < amount < row.amount, "of nothing it fails, and of all nothing is lowered"
    await _keep_after_all(work, terms, row, row.amount - amount)
    row.amount_micros, row.failure = amount.micros, failure
    return row


async def _keep_after_all(
    work: Work, terms: ContractTerms | None, row: Refund, amount: Money, *, is_on_statement: bool = False
) -> None:
    """Book that so much of a refund does not go back, or is there again; as a receipt that was imported, or beside."""
    if row.status in {RefundStatus.SENT, RefundStatus.CONFIRMED}:
        await ledger.book_refund_came_back(work, terms, amount, reference=row.id, is_on_statement=is_on_statement)
    source = BOOKED_FROM.get(RefundSource(row.taken_from))
    if source is not None:
        await ledger.book_refund_dropped(work, terms, source, amount, reference=row.id)
    if row.payment_id is not None:
        payment = await work.session.get_one(Payment, row.payment_id, with_for_update=True, populate_existing=True)
        payment.returned_micros -= amount.micros


async def require_by_hand(work: Work, refund_id: str) -> None:
    """Require that finance sends a refund, and so says how far it is. Raises: NotFound, IllegalTransition."""
    row = await get_refund(work, refund_id)
    if row.method != RefundMethod.BANK_TRANSFER:
        cure = "what it is follows from there" if row.method == RefundMethod.STRIPE else "it is a credit already"
        raise errors.IllegalTransition(
            f"Refund {row.id} goes back by {row.method}: {cure}; nothing is told of it by hand.",
            status_before=row.status,
        )


def _end(work: Work, row: Refund, status: RefundStatus) -> None:
    _require_next(row, status)
    row.status, row.ended_by, row.ended_at = status.value, work.actor.id, work.now


def _require_next(row: Refund, status: RefundStatus) -> None:
    if status not in NEXT_STATUSES[RefundStatus(row.status)]:
        raise errors.IllegalTransition(
            f"Refund {row.id} is {row.status}; it cannot be {status.value} after that.", status_before=row.status
        )


async def _lock(work: Work, refund_id: str) -> tuple[Refund, ContractTerms | None]:
    """Lock a refund after the turn and its contract. Raises: NotFound."""
    await take_payments_turn(work)
    found = await get_refund(work, refund_id)
    terms = None if found.contract_id is None else await contracts.lock_contract(work, found.contract_id)
    row = await work.session.get_one(Refund, refund_id, with_for_update=True, populate_existing=True)
    return row, terms


async def get_refund(work: Work, refund_id: str) -> Refund:
    """Get a refund. Raises: NotFound."""
    row = await work.session.get(Refund, refund_id)
    if row is None:
        raise errors.NotFound("refund", refund_id)
    return row


def select_refunds(**wanted: str | None) -> Select[Refund]:
    """Select the refunds that the actor sees, all or those with these values in their columns."""
    return narrow(select(Refund), **wanted)

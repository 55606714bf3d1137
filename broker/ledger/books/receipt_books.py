"""Receipts on the books: what came in stands with the house, and leaves it for what it pays, for a credit, or back.

Every function posts one transfer. The caller holds the turn of payments, under which alone the house's own accounts of
money change, and the lock of the contract. Amounts are in whole fen; `reference` is the document that it is for.
"""

from collections.abc import Iterable
from typing import NamedTuple

from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.accounts import NewTransfer, open_account, post_transfer
from broker.ledger.books.model import AccountKind, Move, move
from broker.ledger.books.periods import choose_booking_day
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit

CASH, UNMATCHED, REFUNDS = AccountKind.CASH, AccountKind.UNMATCHED_RECEIPTS, AccountKind.REFUNDS
RECEIVABLE, CREDIT, FEES = AccountKind.RECEIVABLE, AccountKind.CUSTOMER_CREDIT, AccountKind.BANK_FEES


class Side(NamedTuple):
    """An account by its kind: a contract's, or the house's own where it has no terms."""

    terms: ContractTerms | None
    kind: AccountKind


class SideMove(NamedTuple):
    """An amount from the account that is credited to the one that is debited."""

    credit: Side
    debit: Side
    amount: Money


HOUSE_CASH, HOUSE_UNMATCHED = Side(None, CASH), Side(None, UNMATCHED)


async def post_sides(
    work: Work,
    terms: ContractTerms | None,
    kind: str,
    moves: Iterable[SideMove],
    *,
    reference: str,
    transfer_id: str | None = None,
) -> None:
    """Post moves between accounts of a contract and of the house in one transfer, which is the contract's."""
    between: list[Move] = []
    for each in moves:
        if each.amount.micros:
            source_id, target_id = await _open(work, each.credit), await _open(work, each.debit)
            between += move(source_id, target_id, Unit.MICRO_YUAN, each.amount.micros)
    day = await choose_booking_day(work)
    transfer = NewTransfer(kind, between, reference=reference, id=transfer_id, booked_on=day)
    contract_id, customer_id = (None, None) if terms is None else (terms.id, terms.customer_id)
    await post_transfer(work, contract_id, customer_id, transfer)


async def _open(work: Work, side: Side) -> str:
    contract_id, customer_id = (None, None) if side.terms is None else (side.terms.id, side.terms.customer_id)
    return await open_account(work, contract_id, customer_id, Unit.MICRO_YUAN, side.kind)


async def book_receipt_matched(
    work: Work, terms: ContractTerms, amount: Money, fee: Money, *, reference: str, transfer_id: str
) -> None:
    """Book that a receipt pays what is due, and that the house bears the fee which the bank kept of it."""
    due = Side(terms, RECEIVABLE)
    moves = [SideMove(due, HOUSE_UNMATCHED, amount), SideMove(due, Side(terms, FEES), fee)]
    await post_sides(work, terms, "payment_received", moves, reference=reference, transfer_id=transfer_id)


async def book_receipt_freed(
    work: Work, terms: ContractTerms, amount: Money, fee: Money, *, reference: str, transfer_id: str
) -> None:
    """Book that a receipt does not pay what is due after all: it is owed again, and the receipt unmatched."""
    due = Side(terms, RECEIVABLE)
    moves = [SideMove(HOUSE_UNMATCHED, due, amount), SideMove(Side(terms, FEES), due, fee)]
    await post_sides(work, terms, "payment_taken_back", moves, reference=reference, transfer_id=transfer_id)


async def book_receipt_kept(
    work: Work, terms: ContractTerms, amount: Money, *, reference: str, transfer_id: str
) -> None:
    """Book that a receipt pays nothing that is due: it is the customer's credit."""
    moves = [SideMove(Side(terms, CREDIT), HOUSE_UNMATCHED, amount)]
    await post_sides(work, terms, "receipt_kept", moves, reference=reference, transfer_id=transfer_id)


async def book_kept_freed(work: Work, terms: ContractTerms, amount: Money, *, reference: str, transfer_id: str) -> None:
    """Book that a receipt is not the customer's credit after all, and unmatched again."""
    moves = [SideMove(HOUSE_UNMATCHED, Side(terms, CREDIT), amount)]
    await post_sides(work, terms, "kept_taken_back", moves, reference=reference, transfer_id=transfer_id)


async def book_paid_to_credit(work: Work, terms: ContractTerms, amount: Money, *, reference: str) -> None:
    """Book that what was paid of an order is the customer's credit, since the order is void."""
    moves = [SideMove(Side(terms, CREDIT), Side(terms, RECEIVABLE), amount)]
    await post_sides(work, terms, "payment_taken_back", moves, reference=reference)


async def book_credit_to_due(work: Work, terms: ContractTerms, amount: Money, *, reference: str) -> None:
    """Book that a credit pays again what a credit note took off an invoice that was paid then, and is not any more."""
    moves = [SideMove(Side(terms, RECEIVABLE), Side(terms, CREDIT), amount)]
    await post_sides(work, terms, "credit_taken_back", moves, reference=reference)


async def book_charged_back(work: Work, amount: Money, *, reference: str) -> None:
    """Book that a payment was taken back by its payer's bank: it is not there any more."""
    moves = [SideMove(HOUSE_CASH, HOUSE_UNMATCHED, amount)]
    await post_sides(work, None, "charged_back", moves, reference=reference)


async def book_refund_requested(
    work: Work, terms: ContractTerms | None, source: AccountKind, amount: Money, *, reference: str
) -> None:
    """Book that a credit, or without a contract an unmatched receipt, is to be paid back."""
    moves = [SideMove(Side(terms, REFUNDS), Side(terms, source), amount)]
    await post_sides(work, terms, "refund_requested", moves, reference=reference)


async def book_refund_dropped(
    work: Work, terms: ContractTerms | None, source: AccountKind, amount: Money, *, reference: str
) -> None:
    """Book that what was to be paid back is what it was before."""
    moves = [SideMove(Side(terms, source), Side(terms, REFUNDS), amount)]
    await post_sides(work, terms, "refund_dropped", moves, reference=reference)


async def book_refund_sent(work: Work, terms: ContractTerms | None, amount: Money, *, reference: str) -> None:
    """Book that money went back."""
    moves = [SideMove(HOUSE_CASH, Side(terms, REFUNDS), amount)]
    await post_sides(work, terms, "refund_sent", moves, reference=reference)


async def book_refund_came_back(work: Work, terms: ContractTerms | None, amount: Money, *, reference: str) -> None:
    """Book that money which went back did not arrive, and is there again."""
    moves = [SideMove(Side(terms, REFUNDS), HOUSE_CASH, amount)]
    await post_sides(work, terms, "refund_came_back", moves, reference=reference)


async def book_refund_credited(work: Work, terms: ContractTerms, amount: Money, *, reference: str) -> None:
    """Book that what is owed back for refunded units is the customer's credit."""
    moves = [SideMove(Side(terms, CREDIT), Side(terms, REFUNDS), amount)]
    await post_sides(work, terms, "refund_credited", moves, reference=reference)

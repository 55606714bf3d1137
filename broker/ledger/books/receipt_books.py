"""Receipts on the books: what came in stands with the house, and leaves it for what it pays, for a credit, or back.

What receipts pay is posted together; every other function posts one transfer. The caller holds the turn of payments,
under which alone the house's own accounts of money change, and the lock of the contract. Amounts are in whole fen;
`reference` is the document that it is for.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.accounts import NewTransfer, Owner, command_transfers
from broker.ledger.books.model import AccountKind, Move, move
from broker.ledger.books.money_accounts import MoneyAccount, open_money_accounts
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


class SidesTransfer(NamedTuple):
    """Moves between accounts of a contract and of the house in one transfer, which is the contract's.

    `reference` is the document that it is for; it has an id of its own, unless one is told.
    """

    terms: ContractTerms | None
    kind: str
    moves: Sequence[SideMove]
    reference: str
    id: str | None = None

    @property
    def owner(self) -> Owner:
        return _own(self.terms)


def _own(terms: ContractTerms | None) -> Owner:
    return Owner(None, None) if terms is None else Owner(terms.id, terms.customer_id)


async def post_sides(work: Work, transfers: Iterable[SidesTransfer]) -> None:
    """Post transfers of money between accounts of contracts and of the house, all in one statement.

    One that moves nothing is left out. Raises: PeriodClosed.
    """
    posted = [each for each in transfers if any(made.amount.micros for made in each.moves)]
    if not posted:
        return
    sides = [side for each in posted for made in each.moves for side in (made.credit, made.debit)]
    accounts = await open_money_accounts(work, [_find_account(side) for side in sides])
    day = await choose_booking_day(work)
    rows = [(each.owner, _make_transfer(each, accounts, day)) for each in posted]
    await work.run_together(command_transfers(work.services, rows))


def _find_account(side: Side) -> MoneyAccount:
    return MoneyAccount(*_own(side.terms), side.kind)


def _make_transfer(each: SidesTransfer, accounts: Mapping[MoneyAccount, str], day: date) -> NewTransfer:
    between: list[Move] = []
    for made in each.moves:
        if made.amount.micros:
            source_id, target_id = accounts[_find_account(made.credit)], accounts[_find_account(made.debit)]
            between += move(source_id, target_id, Unit.MICRO_YUAN, made.amount.micros)
    return NewTransfer(each.kind, between, reference=each.reference, id=each.id, booked_on=day)


def match_receipt(
    terms: ContractTerms, amount: Money, fee: Money, *, reference: str, transfer_id: str
) -> SidesTransfer:
    """Make the transfer by which a receipt pays what is due, and the house bears the fee which the bank kept of it."""
    due = Side(terms, RECEIVABLE)
    moves = [SideMove(due, HOUSE_UNMATCHED, amount), SideMove(due, Side(terms, FEES), fee)]
    return SidesTransfer(terms, "payment_received", moves, reference, transfer_id)


def keep_receipt(terms: ContractTerms, amount: Money, *, reference: str, transfer_id: str) -> SidesTransfer:
    """Make the transfer by which a receipt, that pays nothing which is due, is the customer's credit."""
    moves = [SideMove(Side(terms, CREDIT), HOUSE_UNMATCHED, amount)]
    return SidesTransfer(terms, "receipt_kept", moves, reference, transfer_id)


async def book_receipt_freed(
    work: Work, terms: ContractTerms, amount: Money, fee: Money, *, reference: str, transfer_id: str
) -> None:
    """Book that a receipt does not pay what is due after all: it is owed again, and the receipt unmatched."""
    due = Side(terms, RECEIVABLE)
    moves = [SideMove(HOUSE_UNMATCHED, due, amount), SideMove(Side(terms, FEES), due, fee)]
    await post_sides(work, [SidesTransfer(terms, "payment_taken_back", moves, reference, transfer_id)])


async def book_kept_freed(work: Work, terms: ContractTerms, amount: Money, *, reference: str, transfer_id: str) -> None:
    """Book that a receipt is not the customer's credit after all, and unmatched again."""
    moves = [SideMove(HOUSE_UNMATCHED, Side(terms, CREDIT), amount)]
    await post_sides(work, [SidesTransfer(terms, "kept_taken_back", moves, reference, transfer_id)])


async def book_paid_to_credit(work: Work, terms: ContractTerms, amount: Money, *, reference: str) -> None:
    """Book that what was paid of an order is the customer's credit, since the order is void."""
    moves = [SideMove(Side(terms, CREDIT), Side(terms, RECEIVABLE), amount)]
    await post_sides(work, [SidesTransfer(terms, "payment_taken_back", moves, reference)])


async def book_credit_to_due(work: Work, terms: ContractTerms, amount: Money, *, reference: str) -> None:
    """Book that a credit pays again what a credit note took off an invoice that was paid then, and is not any more."""
    moves = [SideMove(Side(terms, RECEIVABLE), Side(terms, CREDIT), amount)]
    await post_sides(work, [SidesTransfer(terms, "credit_taken_back", moves, reference)])


async def book_charged_back(work: Work, amount: Money, *, reference: str) -> None:
    """Book that a payment was taken back by its payer's bank: it is not there any more."""
    moves = [SideMove(HOUSE_CASH, HOUSE_UNMATCHED, amount)]
    await post_sides(work, [SidesTransfer(None, "charged_back", moves, reference)])


async def book_refund_requested(
    work: Work, terms: ContractTerms | None, source: AccountKind, amount: Money, *, reference: str
) -> None:
    """Book that a credit, or without a contract an unmatched receipt, is to be paid back."""
    moves = [SideMove(Side(terms, REFUNDS), Side(terms, source), amount)]
    await post_sides(work, [SidesTransfer(terms, "refund_requested", moves, reference)])


async def book_refund_dropped(
    work: Work, terms: ContractTerms | None, source: AccountKind, amount: Money, *, reference: str
) -> None:
    """Book that what was to be paid back is what it was before."""
    moves = [SideMove(Side(terms, source), Side(terms, REFUNDS), amount)]
    await post_sides(work, [SidesTransfer(terms, "refund_dropped", moves, reference)])


async def book_refund_sent(work: Work, terms: ContractTerms | None, amount: Money, *, reference: str) -> None:
    """Book that money went back."""
    moves = [SideMove(HOUSE_CASH, Side(terms, REFUNDS), amount)]
    await post_sides(work, [SidesTransfer(terms, "refund_sent", moves, reference)])


async def book_refund_came_back(work: Work, terms: ContractTerms | None, amount: Money, *, reference: str) -> None:
    """Book that money which went back did not arrive, and is there again."""
    moves = [SideMove(Side(terms, REFUNDS), HOUSE_CASH, amount)]
    await post_sides(work, [SidesTransfer(terms, "refund_came_back", moves, reference)])


async def book_refund_credited(work: Work, terms: ContractTerms, amount: Money, *, reference: str) -> None:
    """Book that what is owed back for refunded units is the customer's credit."""
    moves = [SideMove(Side(terms, CREDIT), Side(terms, REFUNDS), amount)]
    await post_sides(work, [SidesTransfer(terms, "refund_credited", moves, reference)])

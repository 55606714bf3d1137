"""Receipts on the books: what came in stands with the house, and leaves it for what it pays, for a credit, or back.

What receipts pay is posted together; every other function posts one transfer. The caller holds the turn of payments,
under which alone the house's own accounts of money change, and the lock of the contract. Amounts are in whole fen;
`reference` is the document that it is for.
"""

from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.model import AccountKind
from broker.ledger.books.money_transfers import Side, SideMove, SidesTransfer, post_sides
from broker.work import Work
from pricing.money import Money

CASH, UNMATCHED, REFUNDS = AccountKind.CASH, AccountKind.UNMATCHED_RECEIPTS, AccountKind.REFUNDS
RECEIVABLE, CREDIT, FEES = AccountKind.RECEIVABLE, AccountKind.CUSTOMER_CREDIT, AccountKind.BANK_FEES
HOUSE_CASH, HOUSE_UNMATCHED = Side(None, CASH), Side(None, UNMATCHED)


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


async def book_refund_came_back(
    work: Work, terms: ContractTerms | None, amount: Money, *, reference: str, is_on_statement: bool = False
) -> None:
    """Book that money which went back did not arrive, and is there again: anew, or as a receipt that was imported."""
    moves = [SideMove(Side(terms, REFUNDS), HOUSE_UNMATCHED if is_on_statement else HOUSE_CASH, amount)]
    await post_sides(work, [SidesTransfer(terms, "refund_came_back", moves, reference)])


async def book_return_found(work: Work, amount: Money, *, reference: str) -> None:
    """Book that a receipt is money of a refund that was booked as come back already: it is there once."""
    moves = [SideMove(HOUSE_CASH, HOUSE_UNMATCHED, amount)]
    await post_sides(work, [SidesTransfer(None, "refund_return_found", moves, reference)])


async def book_refund_credited(work: Work, terms: ContractTerms, amount: Money, *, reference: str) -> None:
    """Book that what is owed back for refunded units is the customer's credit."""
    moves = [SideMove(Side(terms, CREDIT), Side(terms, REFUNDS), amount)]
    await post_sides(work, [SidesTransfer(terms, "refund_credited", moves, reference)])

"""Fapiao on the books: a record beside the money of what a customer asked for, what was issued, and what taken back.

The accounts are the customer's, since a fapiao is of no one contract. The database refuses to issue what was not
requested and to take back what was not issued. The caller holds the customer's lock.
"""

from enum import StrEnum

from sqlalchemy import select

from broker.ledger.books.accounts import NewTransfer, open_account, post_transfer
from broker.ledger.books.model import AccountKind, move
from broker.ledger.tables import Account
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit

DRAWN, REQUESTED, ISSUED = AccountKind.FAPIAO_DRAWN, AccountKind.FAPIAO_REQUESTED, AccountKind.FAPIAO_ISSUED


class FapiaoStep(StrEnum):
    """What becomes of a fapiao, as the kind of its transfer."""

    REQUESTED = "fapiao_requested"
    ISSUED = "fapiao_issued"
    CANCELLED = "fapiao_cancelled"
    TAKEN_BACK = "fapiao_taken_back"


# From the account that is credited to the one that is debited.
ACCOUNTS_OF = {
    FapiaoStep.REQUESTED: (DRAWN, REQUESTED),
    FapiaoStep.ISSUED: (REQUESTED, ISSUED),
    FapiaoStep.CANCELLED: (REQUESTED, DRAWN),
    FapiaoStep.TAKEN_BACK: (ISSUED, DRAWN),
}


async def book_fapiao(work: Work, customer_id: str, step: FapiaoStep, amount: Money, *, reference: str) -> None:
    """Book a step of a fapiao, which is the `reference`: each has one transfer of each step at most."""
    assert amount.micros > 0, "what is taken back is told without its sign"
    source, target = [await open_account(work, None, customer_id, Unit.MICRO_YUAN, kind) for kind in ACCOUNTS_OF[step]]
    moves = move(source, target, Unit.MICRO_YUAN, amount.micros)
    own_id = f"tra_{reference.partition('_')[2]}{step.value.removeprefix('fapiao_')[0]}"
    await post_transfer(work, None, customer_id, NewTransfer(step.value, moves, reference=reference, id=own_id))


async def read_fapiao_drawn(work: Work, customer_id: str) -> Money:
    """Read what a customer's fapiao are of: requested or issued, and not taken back."""
    balance = select(Account.balance).where(
        Account.contract_id.is_(None), Account.customer_id == customer_id, Account.kind == DRAWN.value
    )
    return -Money(await work.session.scalar(balance) or 0)

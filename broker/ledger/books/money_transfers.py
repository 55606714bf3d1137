"""Transfers of money between accounts of contracts and of the house, many of them posted in one statement."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.accounts import NewTransfer, Owner, command_transfers
from broker.ledger.books.model import AccountKind, Move, move
from broker.ledger.books.money_accounts import MoneyAccount, open_money_accounts
from broker.ledger.books.periods import choose_day, get_today, read_closed_through
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit


class Side(NamedTuple):
    """An account by its kind: a contract's, or the house's own where it has no terms.

    `grant_id` is that of the grant whose deferred revenue is meant: no other account is a grant's.
    """

    terms: ContractTerms | None
    kind: AccountKind
    grant_id: str | None = None

    @property
    def account(self) -> MoneyAccount:
        grant_id = self.grant_id if self.kind == AccountKind.DEFERRED_REVENUE else None
        return MoneyAccount(*find_owner(self.terms), self.kind, grant_id)


class SideMove(NamedTuple):
    """An amount from the account that is credited to the one that is debited; below zero it goes the other way."""

    credit: Side
    debit: Side
    amount: Money


class SidesTransfer(NamedTuple):
    """Moves between accounts of a contract and of the house in one transfer, which is the contract's.

    `reference` is the document that it is for; it has an id of its own, unless one is told. `on` is the day that it is
    of, None: today.
    """

    terms: ContractTerms | None
    kind: str
    moves: Sequence[SideMove]
    reference: str
    id: str | None = None
    on: date | None = None

    @property
    def moving(self) -> list[SideMove]:
        """List the moves that move anything."""
        return [made for made in self.moves if made.amount.micros]


def find_owner(terms: ContractTerms | None) -> Owner:
    """Find whose books a transfer is in: the house's, where there is no contract."""
    return Owner(None, None) if terms is None else Owner(terms.id, terms.customer_id)


async def post_sides(work: Work, transfers: Iterable[SidesTransfer]) -> None:
    """Post transfers of money, all in one statement; one that moves nothing is left out.

    The caller holds the locks of all contracts. Raises: PeriodClosed.
    """
    posted = [each for each in transfers if each.moving]
    if not posted:
        return
    sides = [side for each in posted for made in each.moving for side in (made.credit, made.debit)]
    accounts = await open_money_accounts(work, [side.account for side in sides])
    closed_through, today = await read_closed_through(work), get_today(work)
    rows = [
        (find_owner(each.terms), _make_transfer(each, accounts, choose_day(today, each.on, closed_through)))
        for each in posted
    ]
    await work.run_together(command_transfers(work.services, rows))


def _make_transfer(each: SidesTransfer, accounts: Mapping[MoneyAccount, str], day: date) -> NewTransfer:
    between: list[Move] = []
    for made in each.moving:
        source_id, target_id = accounts[made.credit.account], accounts[made.debit.account]
        between += move(source_id, target_id, Unit.MICRO_YUAN, made.amount.micros)
    return NewTransfer(each.kind, between, reference=each.reference, id=each.id, booked_on=day)

"""The accounts of money: what customers owe and paid, what of it is earned, owed to them, given away or lost.

Every function posts one transfer; the caller holds the contract's lock. `reference` is the document that it is for.
It is booked today; what says on which day it was earned or came in, on that one, where its month is open (`periods`).
Amounts are in whole fen as documents have them; what an advance has paid stands in the deferred revenue of its grant.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, select

from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.ledger.books.accounts import NewTransfer, open_account, post_transfer
from broker.ledger.books.model import AccountKind, Move, move
from broker.ledger.books.money_transfers import Side, SideMove, SidesTransfer, post_sides
from broker.ledger.books.periods import choose_booking_day
from broker.ledger.tables import Account
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit

CASH, RECEIVABLE = AccountKind.CASH, AccountKind.RECEIVABLE
REVENUE, TAX = AccountKind.REVENUE, AccountKind.TAX
DEFERRED, BREAKAGE, ROUNDING = AccountKind.DEFERRED_REVENUE, AccountKind.BREAKAGE, AccountKind.ROUNDING
REFUNDS, CREDIT, UNMATCHED = AccountKind.REFUNDS, AccountKind.CUSTOMER_CREDIT, AccountKind.UNMATCHED_RECEIPTS
GIFT_COSTS, BAD_DEBT = AccountKind.GIFT_COSTS, AccountKind.BAD_DEBT

# The transfer by which unused units are owed back.
REFUNDED = "grant_refunded"


@dataclass(frozen=True)
class MoneyMove:
    """An amount from the account that is credited to the account that is debited; below zero it goes the other way.

    `grant_id` is that of the grant whose deferred revenue is meant.
    """

    credit: AccountKind
    debit: AccountKind
    amount: Money
    grant_id: str | None = None


@dataclass(frozen=True)
class MoneyTransfer:
    """Moves of money in one transfer: between accounts of a contract, or of the house where there is none.

    `reference` is the document that it is for; `on` the day that it is of, None: today.
    """

    terms: ContractTerms | None
    kind: str
    moves: Sequence[MoneyMove]
    reference: str
    on: date | None = None

    def find_sides(self) -> SidesTransfer:
        """Find the accounts that its moves are between."""
        own = self.terms
        moves = [
            SideMove(Side(own, made.credit, made.grant_id), Side(own, made.debit, made.grant_id), made.amount)
            for made in self.moves
        ]
        return SidesTransfer(own, self.kind, moves, self.reference, on=self.on)


async def post_money(
    work: Work,
    terms: ContractTerms | None,
    kind: str,
    moves: Iterable[MoneyMove],
    *,
    reference: str,
    on: date | None = None,
) -> None:
    """Post moves of money in one transfer. Raises: PeriodClosed."""
    await post_money_transfers(work, [MoneyTransfer(terms, kind, list(moves), reference, on)])


async def post_money_transfers(work: Work, transfers: Iterable[MoneyTransfer]) -> None:
    """Post transfers of money, of several contracts in one statement; one that moves nothing is left out.

    The caller holds the locks of all contracts. Raises: PeriodClosed.
    """
    await post_sides(work, [each.find_sides() for each in transfers])


async def _open(work: Work, terms: ContractTerms, kind: AccountKind, grant_id: str | None) -> str:
    own_grant = grant_id if kind == DEFERRED else None
    return await open_account(work, terms.id, terms.customer_id, Unit.MICRO_YUAN, kind, grant_id=own_grant)


async def book_advance(
    work: Work, terms: ContractTerms, grant_id: str, *, net: Money, tax: Money, reference: str
) -> None:
    """Book an advance invoice that is issued: it is owed, and earned only as its grant's hours are used."""
    moves = [MoneyMove(DEFERRED, RECEIVABLE, net, grant_id), MoneyMove(TAX, RECEIVABLE, tax)]
    await post_money(work, terms, "advance_invoiced", moves, reference=reference)


async def book_advance_cancelled(
    work: Work, terms: ContractTerms, grant_id: str, *, net: Money, tax: Money, reference: str
) -> None:
    """Take back what was booked for an advance invoice that nobody will pay."""
    moves = [MoneyMove(RECEIVABLE, DEFERRED, net, grant_id), MoneyMove(RECEIVABLE, TAX, tax)]
    await post_money(work, terms, "advance_cancelled", moves, reference=reference)


async def book_receipt(
    work: Work, terms: ContractTerms, amount: Money, *, reference: str, on: date | None = None
) -> None:
    """Book money that came in for what is due; `on`: the day on which the bank has it."""
    moves = [MoneyMove(RECEIVABLE, CASH, amount)]
    await post_money(work, terms, "payment_received", moves, reference=reference, on=on)


async def book_credit(
    work: Work, terms: ContractTerms, amount: Money, *, reference: str, on: date | None = None
) -> None:
    """Book money that came in and pays nothing that is due: it stays the customer's credit.

    `on`: the day on which the bank has it.
    """
    moves = [MoneyMove(CREDIT, CASH, amount)]
    await post_money(work, terms, "receipt_credited", moves, reference=reference, on=on)


async def book_receipts(work: Work, receipts: Iterable[tuple[str, Money, date]]) -> None:
    """Book money of which nobody knows yet whose it is: unmatched receipts of the house.

    Each has the payment that it is, and the day on which the bank has it. The caller holds the turn of payments.
    """
    await post_money_transfers(
        work,
        [
            MoneyTransfer(None, "receipt_credited", [MoneyMove(UNMATCHED, CASH, amount)], payment_id, day)
            for payment_id, amount, day in receipts
        ],
    )


async def book_credit_used(work: Work, terms: ContractTerms, used: Mapping[str, Money], *, reference: str) -> None:
    """Book that a customer's credit pays what is due of a contract: so much of each contract's, by their ids.

    The caller holds the locks of all of them.
    """
    receivable_id = await _open(work, terms, RECEIVABLE, None)
    moves: list[Move] = []
    for contract_id, amount in used.items():
        credit_id = await open_account(work, contract_id, terms.customer_id, Unit.MICRO_YUAN, CREDIT)
        moves += move(receivable_id, credit_id, Unit.MICRO_YUAN, amount.micros)
    transfer = NewTransfer("credit_used", moves, reference=reference, booked_on=await choose_booking_day(work))
    await post_transfer(work, terms.id, terms.customer_id, transfer)


async def book_refund(
    work: Work, terms: ContractTerms, grant_id: str, *, net: Money, tax: Money, credited: Money, reference: str
) -> None:
    """Book that what is unused of a paid grant is owed back to the customer, with the tax on it.

    `credited` is what credit notes have given back of it already: they took it off what is earned.
    """
    moves = [MoneyMove(REFUNDS, DEFERRED, net, grant_id), MoneyMove(REFUNDS, TAX, tax)]
    await post_money(work, terms, REFUNDED, moves, reference=reference)
    earned = [MoneyMove(REVENUE, DEFERRED, credited, grant_id)]
    await post_money(work, terms, "credited_units_left", earned, reference=reference)


async def book_carry(work: Work, terms: ContractTerms, grant_id: str, to: GrantTerms, amount: Money) -> None:
    """Book that what was paid for the unused part of a grant pays for another grant now, as far as it is deferred.

    The caller holds the locks of both contracts.
    """
    moved = min(amount, await read_deferred(work, grant_id))
    own = (to.contract_id, to.customer_id, Unit.MICRO_YUAN, DEFERRED)
    source_id, target_id = await open_account(work, *own, grant_id=to.id), await _open(work, terms, DEFERRED, grant_id)
    moves = move(source_id, target_id, Unit.MICRO_YUAN, moved.micros)
    transfer = NewTransfer("advance_carried", moves, reference=to.id, booked_on=await choose_booking_day(work))
    await post_transfer(work, terms.id, terms.customer_id, transfer)


async def book_breakage(work: Work, terms: ContractTerms, grant_id: str, amount: Money, *, reference: str) -> None:
    """Book what is unused of a grant that has ended as earned: of its deferred revenue, as far as there is any."""
    earned = min(amount, await read_deferred(work, grant_id))
    moves = [MoneyMove(BREAKAGE, DEFERRED, earned, grant_id)]
    await post_money(work, terms, "breakage", moves, reference=reference)


async def book_credit_note(
    work: Work, terms: ContractTerms, *, net: Money, tax: Money, to_credit: Money, reference: str
) -> None:
    """Book what a credit note takes back: off what is due, and as a credit where that was paid already."""
    moves = [
        MoneyMove(RECEIVABLE, REVENUE, net),
        MoneyMove(RECEIVABLE, TAX, tax),
        MoneyMove(CREDIT, RECEIVABLE, to_credit),
    ]
    await post_money(work, terms, "credited", moves, reference=reference)


async def book_goodwill(work: Work, terms: ContractTerms, amount: Money, *, reference: str) -> None:
    """Book credit that the house gives a customer, or takes back of it where it is below zero."""
    await post_money(work, terms, "credit_adjusted", [MoneyMove(CREDIT, GIFT_COSTS, amount)], reference=reference)


async def book_bad_debt(work: Work, terms: ContractTerms, amount: Money, *, reference: str) -> None:
    """Book that what is due will never be paid."""
    await post_money(work, terms, "written_off", [MoneyMove(RECEIVABLE, BAD_DEBT, amount)], reference=reference)


async def read_credit(work: Work, contract_id: str) -> Money:
    """Read what of a customer's credit is a contract's."""
    query = select(func.coalesce(func.sum(-Account.balance), 0))
    credit = query.where(Account.contract_id == contract_id, Account.kind == CREDIT.value)
    return Money(int(await work.session.scalar(credit) or 0))


async def read_credits(work: Work, customer_id: str) -> dict[str, Money]:
    """Read the credit of a customer by the contracts that it is of, the oldest first; none that has nothing."""
    query = (
        select(Account.contract_id, -Account.balance)
        .where(Account.customer_id == customer_id, Account.kind == CREDIT.value, Account.balance < 0)
        .order_by(Account.contract_id)
    )
    found = await work.session.execute(query)
    return {contract_id: Money(micros) for contract_id, micros in found if contract_id is not None}


async def read_unmatched(work: Work) -> Money:
    """Read what came in and is nobody's yet: the house's unmatched receipts."""
    query = select(func.coalesce(func.sum(-Account.balance), 0)).where(Account.kind == UNMATCHED.value)
    return Money(int(await work.session.scalar(query.where(Account.contract_id.is_(None))) or 0))


async def list_with_credit(work: Work, customer_ids: Collection[str]) -> set[str]:
    """List those of some customers that have credit, of whichever contract."""
    query = select(Account.customer_id).where(
        Account.customer_id.in_(customer_ids), Account.kind == CREDIT.value, Account.balance < 0
    )
    return {customer_id for customer_id in await work.session.scalars(query) if customer_id is not None}


async def read_deferred(work: Work, grant_id: str) -> Money:
    """Read what an advance has paid and its grant's use has not earned yet."""
    query = select(func.coalesce(func.sum(-Account.balance), 0))
    deferred = query.where(Account.grant_id == grant_id, Account.kind == DEFERRED.value)
    return Money(int(await work.session.scalar(deferred) or 0))


async def read_owed_back(work: Work, contract_id: str) -> Money:
    """Read what is to be paid back to the customer of a contract."""
    query = select(func.coalesce(func.sum(-Account.balance), 0))
    owed = query.where(Account.contract_id == contract_id, Account.kind == REFUNDS.value)
    return Money(int(await work.session.scalar(owed) or 0))

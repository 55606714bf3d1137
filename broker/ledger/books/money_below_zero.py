"""Money of a customer that is below zero: more was taken back of its credit than was there, as by a chargeback."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, or_, select

from broker.ledger.books.model import AccountKind
from broker.ledger.tables import Account, Entry, Transfer
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class BelowZero:
    """A contract's money that is below zero by an amount, and since when."""

    contract_id: str
    amount: Money
    since: datetime


async def list_below_zero(work: Work, contract_id: str | None = None) -> list[BelowZero]:
    """List the contracts whose money is below zero: one of them, or all."""
    query = select(Account.id, Account.contract_id, Account.balance).where(
        Account.kind == AccountKind.CUSTOMER_CREDIT.value, Account.balance > 0, Account.contract_id.is_not(None)
    )
    own = query if contract_id is None else query.where(Account.contract_id == contract_id)
    found = (await work.session.execute(own.order_by(Account.contract_id))).all()
    return [BelowZero(each.contract_id, Money(each.balance), await _find_since(work, each.id)) for each in found]


async def _find_since(work: Work, account_id: str) -> datetime:
    signed = case((Entry.debit_account_id == account_id, Entry.amount), else_=-Entry.amount)
    query = (
        select(Transfer.created_at, signed)
        .join(Transfer, Transfer.id == Entry.transfer_id)
        .where(or_(Entry.debit_account_id == account_id, Entry.credit_account_id == account_id))
        .order_by(Entry.id)
    )
    return find_crossing([(moment, int(micros)) for moment, micros in await work.session.execute(query)])


def find_crossing(entries: Sequence[tuple[datetime, int]]) -> datetime:
    """Find when the account came to be owed for the last time, by what was debited of it in order. Pure."""
    owed, since = 0, entries[-1][0]
    for moment, micros in entries:
        if owed <= 0 < owed + micros:
            since = moment
        owed += micros
    return since

"""Reading what was owed back to customers for units of grants that they had paid."""

from collections.abc import Collection

from sqlalchemy import func, select

from broker.ledger.books.model import AccountKind
from broker.ledger.books.money_books import REFUNDED
from broker.ledger.grants.worth import Worth
from broker.ledger.tables import Account, Entry, Transfer
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit


async def read_refunded(work: Work, grant_ids: Collection[str]) -> Worth:
    """Read what was refunded of grants in all, without tax, and the tax on that."""
    query = (
        select(Account.kind, func.sum(Entry.amount))
        .join(Transfer, Transfer.id == Entry.transfer_id)
        .join(Account, Account.id == Entry.debit_account_id)
        .where(Transfer.kind == REFUNDED, Transfer.reference.in_(grant_ids), Entry.unit == Unit.MICRO_YUAN.value)
    )
    sums = {kind: Money(int(amount)) for kind, amount in await work.session.execute(query.group_by(Account.kind))}
    net, tax = (sums.get(kind.value, Money.zero()) for kind in (AccountKind.DEFERRED_REVENUE, AccountKind.TAX))
    return Worth(net, tax)

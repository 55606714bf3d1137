"""Reading what was owed back to customers for units of grants that they had paid."""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from broker.ledger.books.model import AccountKind
from broker.ledger.books.money_books import REFUNDED
from broker.ledger.grants.worth import Worth
from broker.ledger.tables import Account, Entry, Transfer
from broker.work import Work
from pricing.money import Money


async def read_refunded(work: Work, grant_ids: Collection[str]) -> Worth:
    """Read what was refunded of grants in all, without tax, and the tax on that.

    It is looked for among what their contracts owe back: that is little, however much was charged.
    """
    refunds = aliased(Account)
    contract_ids = select(Account.contract_id).where(Account.grant_id.in_(grant_ids))
    query = (
        select(Account.kind, func.sum(Entry.amount))
        .join(refunds, refunds.id == Entry.credit_account_id)
        .join(Account, Account.id == Entry.debit_account_id)
        .join(Transfer, Transfer.id == Entry.transfer_id)
        .where(refunds.kind == AccountKind.REFUNDS.value, refunds.contract_id.in_(contract_ids))
        .where(Transfer.kind == REFUNDED, Transfer.reference.in_(grant_ids))
    )
    sums = {kind: Money(int(amount)) for kind, amount in await work.session.execute(query.group_by(Account.kind))}
    net, tax = (sums.get(kind.value, Money.zero()) for kind in (AccountKind.DEFERRED_REVENUE, AccountKind.TAX))
    return Worth(net, tax)

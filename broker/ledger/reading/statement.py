"""What a customer's money did, transfer by transfer, with the balance after each: what it paid less what it owes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Text, any_, func, literal, select, union_all

from broker.ledger.books.model import AccountKind
from broker.ledger.tables import Account, Entry, Transfer
from broker.work import Work
from pricing.money import Money

MONEY_OF_CUSTOMER = (AccountKind.RECEIVABLE, AccountKind.CUSTOMER_CREDIT)
STATEMENT_PAGE = 50


@dataclass(frozen=True)
class StatementLine:
    """What one transfer did to a customer's money: below zero where more is owed; and the balance after it."""

    transfer_id: str
    kind: str
    reference: str | None
    contract_id: str
    amount: Money
    balance: Money
    at: datetime


@dataclass(frozen=True)
class Statement:
    """One page of lines, the newest first; `total` counts the lines of all pages."""

    lines: Sequence[StatementLine]
    total: int


async def read_statement(
    work: Work, contract_ids: Collection[str], *, page: int = 1, page_size: int = STATEMENT_PAGE
) -> Statement:
    """Read what the money of some contracts did, in one statement: each balance is a sum by the database."""
    kinds = [kind.value for kind in MONEY_OF_CUSTOMER]
    own = select(Account.id).where(
        Account.contract_id == any_(literal(sorted(contract_ids), ARRAY(Text))), Account.kind.in_(kinds)
    )
    sides = union_all(
        *(
            select(Entry.id, Entry.transfer_id, (sign * Entry.amount).label("amount")).where(column.in_(own))
            for column, sign in ((Entry.debit_account_id, -1), (Entry.credit_account_id, 1))
        )
    ).subquery()
    moved = (
        select(sides.c.transfer_id, func.max(sides.c.id).label("last"), func.sum(sides.c.amount).label("amount"))
        .group_by(sides.c.transfer_id)
        .having(func.sum(sides.c.amount) != 0)
        .subquery()
    )
    balance = func.sum(moved.c.amount).over(order_by=moved.c.last)
    columns = (Transfer.id, Transfer.kind, Transfer.reference, Transfer.contract_id, moved.c.amount)
    query = (
        select(*columns, balance, Transfer.created_at, func.count().over())
        .join(moved, moved.c.transfer_id == Transfer.id)
        .order_by(moved.c.last.desc())
        .limit(page_size)
        .offset((page - 1) * page_size)
    )
    rows = (await work.session.execute(query)).all()
    lines = [
        StatementLine(transfer_id, kind, reference, contract_id, Money(int(amount)), Money(int(after)), at)
        for transfer_id, kind, reference, contract_id, amount, after, at, _total in rows
    ]
    return Statement(lines, rows[0][-1] if rows else 0)

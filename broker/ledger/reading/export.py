"""Reading the whole ledger for an export: its accounts, and its transfers in the order in which they were booked."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from sqlalchemy import select

from broker.ledger.books.model import AccountKind
from broker.ledger.reading.beancount import BookedAccount, BookedEntry, BookedTransfer, write_ledger
from broker.ledger.tables import Account, Entry, Transfer
from broker.work import Work
from pricing.usage import Unit


async def export_ledger(work: Work, contract_id: str | None = None) -> Iterator[str]:
    """Export the ledger in Beancount form, in pieces: of one contract, or whole."""
    accounts = await _read_accounts(work, contract_id)
    transfers = list(_group_entries(accounts, await _read_entries(work, contract_id)))
    return write_ledger(accounts.values(), transfers, work.now.date())


async def _read_accounts(work: Work, contract_id: str | None) -> dict[str, BookedAccount]:
    query = select(Account)
    if contract_id is not None:
        query = query.where(Account.contract_id == contract_id)
    rows = (await work.session.scalars(query)).all()
    return {row.id: _to_account(row) for row in rows}


def _to_account(row: Account) -> BookedAccount:
    return BookedAccount(
        id=row.id,
        kind=AccountKind(row.kind),
        unit=Unit(row.unit),
        balance=row.balance,
        contract_id=row.contract_id,
        customer_id=row.customer_id,
        grant_id=row.grant_id,
        month=row.month,
        cause=row.cause,
    )


async def _read_entries(work: Work, contract_id: str | None) -> Iterable[Any]:
    columns = (
        Transfer.id,
        Transfer.kind,
        Transfer.created_at,
        Transfer.hold_id,
        Transfer.reference,
        Entry.debit_account_id,
        Entry.credit_account_id,
        Entry.amount,
    )
    query = select(*columns).join(Entry, Entry.transfer_id == Transfer.id)
    if contract_id is not None:
        query = query.where(Transfer.contract_id == contract_id)
    return await work.session.execute(query.order_by(Transfer.created_at, Transfer.id, Entry.id))


def _group_entries(accounts: Mapping[str, BookedAccount], rows: Iterable[Any]) -> Iterator[BookedTransfer]:
    for transfer_id, group in groupby(rows, key=lambda row: row.id):
        members = list(group)
        first = members[0]
        yield BookedTransfer(
            id=transfer_id,
            kind=first.kind,
            moment=first.created_at,
            reference=first.reference or first.hold_id,
            entries=[
                BookedEntry(accounts[row.debit_account_id], accounts[row.credit_account_id], row.amount)
                for row in members
            ],
        )

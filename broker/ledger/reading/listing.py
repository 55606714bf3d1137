"""The books themselves, for finance: accounts with their balances at a moment, and entries, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from broker import errors
from broker.http.paging import fetch_page, require_known_filters
from broker.ledger.reading.history import read_balances_at
from broker.ledger.tables import Account, Entry, Transfer
from broker.persistence.database import narrow
from broker.work import Work


@dataclass(frozen=True)
class AccountBalance:
    """An account and what it held at a moment. Units: its own; above zero it was debited more than credited."""

    account: Account
    balance: int


async def fetch_accounts(
    work: Work, *, as_of: datetime | None, limit: int, cursor: str | None, **wanted: str | None
) -> tuple[list[AccountBalance], str | None]:
    """Fetch a page of accounts with these values in their columns; as of a moment, or as they are now.

    Returns them and the cursor of the next page. Raises: InvalidRequest.
    """
    if as_of is not None and as_of > work.now:
        raise errors.invalid_field("as_of", "is in the future")
    query = narrow(select(Account), **wanted)
    rows, after = await fetch_page(work.session, query, Account, limit=limit, cursor=cursor)
    if as_of is None:
        return [AccountBalance(row, row.balance) for row in rows], after
    balances = await read_balances_at(work, [row.id for row in rows], as_of)
    return [AccountBalance(row, balances[row.id]) for row in rows], after


@dataclass(frozen=True)
class BookedEntry:
    """An entry, and the transfer that it belongs to."""

    entry: Entry
    transfer: Transfer


@dataclass(frozen=True)
class EntryFilter:
    """Which entries are wanted: those of an account, a transfer or a contract; None: of all."""

    account_id: str | None = None
    transfer_id: str | None = None
    contract_id: str | None = None


async def list_entries(
    work: Work, wanted: EntryFilter, *, limit: int, before: int | None
) -> tuple[Sequence[BookedEntry], int | None]:
    """List entries, newest first: those with a number below `before`, and where to go on.

    Raises: NotFound, for those of what there is not.
    """
    query = select(Entry, Transfer).join(Transfer, Transfer.id == Entry.transfer_id)
    if wanted.account_id is not None:
        query = query.where(
            (Entry.debit_account_id == wanted.account_id) | (Entry.credit_account_id == wanted.account_id)
        )
    if wanted.transfer_id is not None:
        query = query.where(Entry.transfer_id == wanted.transfer_id)
    if wanted.contract_id is not None:
        query = query.where(Transfer.contract_id == wanted.contract_id)
    if before is not None:
        query = query.where(Entry.id < before)
    rows = (await work.session.execute(query.order_by(Entry.id.desc()).limit(limit + 1))).all()
    if not rows:
        await _require_known(work, wanted)
        await require_known_filters(work.session, query.whereclause)
    page = [BookedEntry(entry, transfer) for entry, transfer in rows[:limit]]
    return page, page[-1].entry.id if len(rows) > limit else None


async def _require_known(work: Work, wanted: EntryFilter) -> None:
    """Require the account and the transfer that no entry is of: entries refer to them without a foreign key.

    Raises: NotFound.
    """
    named = (("account", Account, wanted.account_id), ("transfer", Transfer, wanted.transfer_id))
    for kind, table, object_id in named:
        if object_id is not None and await work.session.get(table, object_id) is None:
            raise errors.NotFound(kind, object_id)

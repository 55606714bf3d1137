"""Accounts and transfers: the only code that writes entries and balances."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from broker.ledger.books.causes import Cause
from broker.ledger.books.model import MAY_GO_NEGATIVE, NEVER_POSITIVE, AccountKind, Move, move, net_moves
from broker.ledger.tables import Account
from broker.persistence.driver import Command, Query, Statement, execute_each
from broker.persistence.tenancy import owns
from broker.work import Services, Work
from pricing.usage import Unit

ACCOUNTS = Query(
    select(
        Account.unit, Account.kind, Account.grant_id, Account.month, Account.cause, Account.id, Account.balance
    ).where(Account.contract_id == bindparam("contract_id"), owns(Account.customer_id))
)
AccountKey = tuple[Unit, AccountKind, str | None, str | None, Cause | None]


@dataclass(frozen=True)
class KnownAccount:
    """An account with its balance. Units: the account's own."""

    id: str
    balance: int


async def read_accounts(work: Work, contract_id: str) -> dict[AccountKey, KnownAccount]:
    """Read the accounts of a contract by unit, kind, grant, month and cause. The caller holds the contract's lock."""
    return know_accounts(await work.fetch(ACCOUNTS, contract_id=contract_id))


def know_accounts(rows: Iterable[Any]) -> dict[AccountKey, KnownAccount]:
    """Know accounts by their keys, from the rows of `ACCOUNTS`."""
    return {key_of(row): KnownAccount(row.id, row.balance) for row in rows}


def key_of(row: Any) -> AccountKey:
    """Tell the key of an account from a row with its columns."""
    cause = None if row.cause is None else Cause(row.cause)
    return Unit(row.unit), AccountKind(row.kind), row.grant_id, row.month, cause


async def open_account(
    work: Work,
    contract_id: str | None,
    customer_id: str | None,
    unit: Unit,
    kind: AccountKind,
    *,
    grant_id: str | None = None,
    month: str | None = None,
    cause: Cause | None = None,
    unlimited: bool = False,
) -> str:
    """Open an account at zero, where it is new; without a contract it is a customer's, or the house's own.

    Returns its id.
    """
    cause_name = None if cause is None else cause.value
    same = (
        Account.contract_id == contract_id,
        Account.customer_id == customer_id,
        Account.unit == unit.value,
        Account.kind == kind.value,
        Account.grant_id.is_not_distinct_from(grant_id),
        Account.month.is_not_distinct_from(month),
        Account.cause.is_not_distinct_from(cause_name),
    )
    find = select(Account.id).where(*same)
    account_id: str | None = await work.session.scalar(find)
    if account_id is None:
        owner = {"id": work.new_id("acc"), "customer_id": customer_id, "contract_id": contract_id}
        what = describe_account(unit, kind, grant_id=grant_id, month=month, cause=cause, unlimited=unlimited)
        values = owner | what
        await work.session.execute(upsert(Account).values(values).on_conflict_do_nothing())
        account_id = await work.session.scalar(find)
    assert account_id is not None
    return account_id


def describe_account(
    unit: Unit,
    kind: AccountKind,
    *,
    grant_id: str | None = None,
    month: str | None = None,
    cause: Cause | None = None,
    unlimited: bool = False,
) -> dict[str, Any]:
    """Describe a new account, but for its owner, as the columns of its row."""
    return {
        "unit": unit.value,
        "kind": kind.value,
        "grant_id": grant_id,
        "month": month,
        "cause": None if cause is None else cause.value,
        "may_go_negative": unlimited or kind in MAY_GO_NEGATIVE,
        "may_go_positive": kind not in NEVER_POSITIVE,
        "balance": 0,
    }


async def read_granted(work: Work, contract_id: str) -> dict[str, int]:
    """Read what is free in each grant of a contract. Units: those of the grants' meters."""
    query = select(Account.grant_id, Account.balance).where(
        Account.contract_id == contract_id, Account.kind == AccountKind.GRANTED.value
    )
    return {grant_id: balance for grant_id, balance in await work.session.execute(query) if grant_id is not None}


async def read_granted_hours(work: Work, contract_ids: Collection[str]) -> dict[str, int]:
    """Read what is free in all grants of several contracts, by their ids. Units: GPU-seconds."""
    query = select(Account.contract_id, func.sum(Account.balance)).where(
        Account.contract_id.in_(contract_ids),
        Account.kind == AccountKind.GRANTED.value,
        Account.unit == Unit.GPU_SECONDS.value,
    )
    rows = await work.session.execute(query.group_by(Account.contract_id))
    return {contract_id: int(free) for contract_id, free in rows if contract_id is not None}


@dataclass(frozen=True)
class NewTransfer:
    """A transfer to be written, and what it is for. Units: moves in their accounts' units.

    It gets an id of its own, unless one is told: of what there is once for another thing. One of money says on which
    day it is booked (`periods.py`).
    """

    kind: str
    moves: Sequence[Move]
    hold_id: str | None = None
    reference: str | None = None
    id: str | None = None
    booked_on: date | None = None


async def post_transfer(work: Work, contract_id: str | None, customer_id: str | None, transfer: NewTransfer) -> None:
    """Write one transfer and move the balances beside it. The caller holds the contract's lock."""
    await post_transfers(work, contract_id, customer_id, [transfer])


# One message to the database, however many transfers there are: an entry names both of its accounts.
POST = Statement(
    text(
        """WITH transfers AS (
               INSERT INTO ledger_transfers (id, contract_id, customer_id, kind, hold_id, reference, booked_on,
                                             created_at)
               SELECT t.*, CAST(:now AS timestamptz)
               FROM unnest(CAST(:ids AS text[]), CAST(:contract_ids AS text[]), CAST(:customer_ids AS text[]),
                           CAST(:kinds AS text[]), CAST(:hold_ids AS text[]), CAST(:reference AS text[]),
                           CAST(:booked_on AS date[])) AS t
           ), entries AS (
               INSERT INTO ledger_entries (customer_id, transfer_id, debit_account_id, credit_account_id, unit, amount)
               SELECT e.* FROM unnest(CAST(:entry_customer_ids AS text[]), CAST(:transfers AS text[]),
                   CAST(:debits AS text[]), CAST(:credits AS text[]), CAST(:units AS text[]),
                   CAST(:amounts AS bigint[])) AS e
           )
           UPDATE ledger_accounts SET balance = balance + c.change
           FROM unnest(CAST(:accounts AS text[]), CAST(:changes AS bigint[])) AS c (id, change)
           WHERE ledger_accounts.id = c.id"""
    ),
    planned_once=True,
)


async def post_transfers(
    work: Work, contract_id: str | None, customer_id: str | None, transfers: Iterable[NewTransfer]
) -> None:
    """Write transfers and move the balances beside them, all in one statement.

    The caller holds the contract's lock. What a transfer moves through an account and on is not written.
    """
    owner = Owner(contract_id, customer_id)
    for command in command_transfers(work.services, [(owner, transfer) for transfer in transfers]):
        await execute_each(work.connection, command.statement, [command.parameters])


class Owner(NamedTuple):
    """Whose books a transfer is in: a contract's and its customer's; neither for the house's own."""

    contract_id: str | None
    customer_id: str | None


def command_transfers(services: Services, transfers: Iterable[tuple[Owner, NewTransfer]]) -> list[Command]:
    """Make the command that writes transfers as `post_transfers` does, in the books of several owners at once."""
    rows = [
        (transfer.id or services.new_id("tra"), owner, transfer, entries)
        for owner, transfer in transfers
        if (entries := net_moves(transfer.moves))
    ]
    return [Command(POST, {"now": services.now, **_list_columns(rows)})] if rows else []


def _list_columns(rows: Sequence[tuple[str, Owner, NewTransfer, list[Move]]]) -> dict[str, list[Any]]:
    entries = [(transfer_id, owner, entry) for transfer_id, owner, _transfer, moves in rows for entry in moves]
    changes: defaultdict[str, int] = defaultdict(int)
    for _transfer_id, _owner, entry in entries:
        changes[entry.source_id] -= entry.amount
        changes[entry.target_id] += entry.amount
    return {
        "ids": [transfer_id for transfer_id, _owner, _transfer, _moves in rows],
        "contract_ids": [owner.contract_id for _id, owner, _transfer, _moves in rows],
        "customer_ids": [owner.customer_id for _id, owner, _transfer, _moves in rows],
        "kinds": [transfer.kind for _id, _owner, transfer, _moves in rows],
        "hold_ids": [transfer.hold_id for _id, _owner, transfer, _moves in rows],
        "reference": [transfer.reference for _id, _owner, transfer, _moves in rows],
        "booked_on": [_write_day(transfer.booked_on) for _id, _owner, transfer, _moves in rows],
        "entry_customer_ids": [owner.customer_id for _id, owner, _entry in entries],
        "transfers": [transfer_id for transfer_id, _owner, _entry in entries],
        "debits": [entry.target_id for _id, _owner, entry in entries],
        "credits": [entry.source_id for _id, _owner, entry in entries],
        "units": [entry.unit.value for _id, _owner, entry in entries],
        "amounts": [entry.amount for _id, _owner, entry in entries],
        "accounts": sorted(changes),
        "changes": [changes[account_id] for account_id in sorted(changes)],
    }


def _write_day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


async def open_budget(
    work: Work, contract_id: str, customer_id: str, month: str, monthly_budget_micros: int | None
) -> str:
    """Open the account of one month's budget, filled when the month is first used; without a budget it has no floor."""
    unit = Unit.MICRO_YUAN
    known = select(Account.id).where(
        Account.contract_id == contract_id, Account.kind == AccountKind.BUDGET.value, Account.month == month
    )
    account_id = await work.session.scalar(known)
    if account_id is not None:
        return account_id
    unlimited = monthly_budget_micros is None
    account_id = await open_account(
        work, contract_id, customer_id, unit, AccountKind.BUDGET, month=month, unlimited=unlimited
    )
    if monthly_budget_micros is not None:
        source = await open_account(work, contract_id, customer_id, unit, AccountKind.BUDGET_ISSUED)
        moves = move(source, account_id, unit, monthly_budget_micros)
        await post_transfer(work, contract_id, customer_id, NewTransfer("budget_opened", moves, reference=month))
    return account_id


async def list_accounts(work: Work, contract_id: str) -> list[Account]:
    """List the accounts of a contract, as the database has them now."""
    query = select(Account).where(Account.contract_id == contract_id).execution_options(populate_existing=True)
    return list((await work.session.scalars(query)).all())

"""Accounts and transfers: the only code that writes entries and balances."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from broker.ledger.causes import Cause
from broker.ledger.model import MAY_GO_NEGATIVE, OWED, AccountKind, Posting, check_balanced, move, sum_postings
from broker.ledger.tables import Account, Entry, Transfer
from broker.work import Work
from pricing.usage import Unit


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
    """Open an account at zero, where it is new; without a contract it is the house's own. Returns its id."""
    cause_name = None if cause is None else cause.value
    same = (
        Account.contract_id == contract_id,
        Account.unit == unit.value,
        Account.kind == kind.value,
        Account.grant_id.is_not_distinct_from(grant_id),
        Account.month.is_not_distinct_from(month),
        Account.cause.is_not_distinct_from(cause_name),
    )
    find = select(Account.id).where(*same)
    account_id: str | None = await work.session.scalar(find)
    if account_id is None:
        values = {
            "id": work.new_id("acc"),
            "customer_id": customer_id,
            "contract_id": contract_id,
            "unit": unit.value,
            "kind": kind.value,
            "grant_id": grant_id,
            "month": month,
            "cause": cause_name,
            "may_go_negative": unlimited or kind in MAY_GO_NEGATIVE,
            "may_go_positive": kind not in OWED,
            "balance": 0,
        }
        await work.session.execute(upsert(Account).values(values).on_conflict_do_nothing())
        account_id = await work.session.scalar(find)
    assert account_id is not None
    return account_id


async def read_granted(work: Work, contract_id: str) -> dict[str, int]:
    """Read what is free in each grant of a contract. Units: those of the grants' meters."""
    query = select(Account.grant_id, Account.balance).where(
        Account.contract_id == contract_id, Account.kind == AccountKind.GRANTED.value
    )
    return {grant_id: balance for grant_id, balance in await work.session.execute(query) if grant_id is not None}


@dataclass(frozen=True)
class NewTransfer:
    """A balanced transfer to be written, and what it is for. Units: postings in their accounts' units."""

    kind: str
    postings: Sequence[Posting]
    hold_id: str | None = None
    reference: str | None = None


async def post_transfer(work: Work, contract_id: str | None, customer_id: str | None, transfer: NewTransfer) -> None:
    """Write one balanced transfer and move the balances beside it. The caller holds the contract's lock."""
    await post_transfers(work, contract_id, customer_id, [transfer])


async def post_transfers(
    work: Work, contract_id: str | None, customer_id: str | None, transfers: Iterable[NewTransfer]
) -> None:
    """Write balanced transfers and move the balances beside them, in as many statements as for one.

    The caller holds the contract's lock. What a transfer moves through an account and on is not written.
    """
    rows: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for transfer in transfers:
        moved = sum_postings(transfer.postings)
        check_balanced(moved)
        if not moved:
            continue
        own = {"customer_id": customer_id, "transfer_id": work.new_id("tra")}
        rows.append(
            {
                "id": own["transfer_id"],
                "customer_id": customer_id,
                "contract_id": contract_id,
                "kind": transfer.kind,
                "hold_id": transfer.hold_id,
                "reference": transfer.reference,
                "created_at": work.now,
            }
        )
        entries += [
            own | {"account_id": posting.account_id, "unit": posting.unit.value, "amount": posting.amount}
            for posting in moved
        ]
    if rows:
        await work.session.execute(insert(Transfer), rows)
        await work.session.execute(insert(Entry), entries)
        await _move_balances(work, entries)


async def _move_balances(work: Work, entries: Sequence[Mapping[str, Any]]) -> None:
    changes: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        changes[entry["account_id"]] += entry["amount"]
    connection = await work.session.connection()
    statement = (
        update(Account.__table__)  # type: ignore[arg-type]
        .where(Account.__table__.c.id == bindparam("account"))
        .values(balance=Account.__table__.c.balance + bindparam("change"))
    )
    await connection.execute(statement, [{"account": key, "change": changes[key]} for key in sorted(changes)])


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
        postings = move(source, account_id, unit, monthly_budget_micros)
        await post_transfer(work, contract_id, customer_id, NewTransfer("budget_opened", postings, reference=month))
    return account_id


async def read_budget_free(work: Work, contract_id: str, month: str, monthly_budget_micros: int) -> int:
    """Read what no hold has taken of a month's budget: all of it before it is first used. Units: micro-yuan.

    The caller holds the contract's lock.
    """
    query = select(Account.balance).where(
        Account.contract_id == contract_id, Account.kind == AccountKind.BUDGET.value, Account.month == month
    )
    free: int | None = await work.session.scalar(query)
    return monthly_budget_micros if free is None else free


async def list_accounts(work: Work, contract_id: str) -> list[Account]:
    """List the accounts of a contract, as the database has them now."""
    query = select(Account).where(Account.contract_id == contract_id).execution_options(populate_existing=True)
    return list((await work.session.scalars(query)).all())

"""A running month's budget: its account is filled up where it changes, or emptied as far; and which have none left."""

from collections.abc import Collection, Sequence

from sqlalchemy import ARRAY, Text, any_, bindparam, select, update

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.accounts import NewTransfer, open_account, post_transfer
from broker.ledger.books.model import AccountKind, move
from broker.ledger.tables import Account
from broker.persistence.driver import Command, Row, Statement
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit

# A budget ends before its last fen, where that does not pay for another GPU-second: how little that is depends on type.
HARDLY_ANYTHING_MICROS = 10**6
NEARLY_SPENT = Statement(
    select(Account.contract_id, Account.month).where(
        Account.contract_id == any_(bindparam("contract_ids", type_=ARRAY(Text))),
        Account.kind == AccountKind.BUDGET.value,
        Account.balance < HARDLY_ANYTHING_MICROS,
        Account.may_go_negative.is_(False),
    )
)


async def amend_budget(work: Work, before: ContractTerms, after: ContractTerms) -> None:
    """Bring the budget of the running month to what the contract says now; later months open with theirs.

    The caller holds the contract's lock. Raises: InvalidRequest, for less than the month has used and holds.
    """
    month = after.billing_month(work.now)
    old, new = before.find_budget(month), after.find_budget(month)
    query = select(Account.id, Account.balance).where(
        Account.contract_id == after.id, Account.kind == AccountKind.BUDGET.value, Account.month == month
    )
    opened = (await work.session.execute(query)).one_or_none()
    if opened is None or old == new:
        return
    taken = (old or 0) - opened.balance
    if new is not None and new < taken:
        least = Money(taken).format_amount()
        raise errors.invalid_field("monthly_budget", f"must be at least {least}, which {month} has used and holds")
    await _set_floor(work, opened.id, has_floor=False)
    await _fill(work, after, opened.id, month, (new or 0) - (old or 0))
    await _set_floor(work, opened.id, has_floor=new is not None)


def find_nearly_spent(contract_ids: Collection[str]) -> Command:
    """Make the command that finds months of contracts whose budget has hardly anything left, if that stops them."""
    return Command(NEARLY_SPENT, {"contract_ids": list(contract_ids)})


async def read_nearly_spent(work: Work, found: Sequence[Row]) -> set[str]:
    """Read which contracts have hardly anything left of the running month from the rows of `find_nearly_spent`."""
    terms = await contracts.load_terms(work, {contract_id for contract_id, _month in found}) if found else {}
    return {contract_id for contract_id, month in found if terms[contract_id].billing_month(work.now) == month}


async def _set_floor(work: Work, account_id: str, *, has_floor: bool) -> None:
    await work.session.execute(update(Account).where(Account.id == account_id).values(may_go_negative=not has_floor))


async def _fill(work: Work, terms: ContractTerms, account_id: str, month: str, micros: int) -> None:
    """Move money from the source of budgets to a month's, or back where it is below zero."""
    if not micros:
        return
    unit = Unit.MICRO_YUAN
    source_id = await open_account(work, terms.id, terms.customer_id, unit, AccountKind.BUDGET_ISSUED)
    ends = (source_id, account_id) if micros > 0 else (account_id, source_id)
    transfer = NewTransfer("budget_amended", move(*ends, unit, abs(micros)), reference=month)
    await post_transfer(work, terms.id, terms.customer_id, transfer)

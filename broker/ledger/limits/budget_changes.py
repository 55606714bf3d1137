"""Changing a month's budget while the month runs: its account is filled up, or emptied as far as nothing was taken."""

from sqlalchemy import select, update

from broker import errors
from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.accounts import NewTransfer, open_account, post_transfer
from broker.ledger.books.model import AccountKind, move
from broker.ledger.tables import Account
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit


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

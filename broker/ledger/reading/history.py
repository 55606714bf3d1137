"""Balances as they were at a moment of booking: added up from the entries of the transfers that were booked by then."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import aliased

from broker import errors
from broker.contracts import service as contracts
from broker.ledger.books.accounts import list_accounts
from broker.ledger.books.model import AccountKind
from broker.ledger.rating.charge_limit import RateSegment, sum_invoiced
from broker.ledger.reading.balance import Balance
from broker.ledger.tables import Capture, Entry, RateCorrection, Transfer
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit


async def read_balances_at(work: Work, account_ids: Collection[str], moment: datetime) -> dict[str, int]:
    """Read what accounts held at a moment; one that had no entries yet held nothing. Units: each account's own."""
    sides = [
        select(column.label("account_id"), (sign * Entry.amount).label("amount"))
        .join(Transfer, Transfer.id == Entry.transfer_id)
        .where(column.in_(account_ids), Transfer.created_at <= moment)
        for column, sign in ((Entry.debit_account_id, 1), (Entry.credit_account_id, -1))
    ]
    both = union_all(*sides).subquery()
    query = select(both.c.account_id, func.sum(both.c.amount).label("balance")).group_by(both.c.account_id)
    found = {row.account_id: int(row.balance) for row in await work.session.execute(query)}
    return {account_id: found.get(account_id, 0) for account_id in account_ids}


async def read_contract_balance_at(work: Work, contract_id: str, moment: datetime) -> Balance:
    """Read what was left of a contract at a moment, by its terms of today. What was held then is off the budget.

    Raises: NotFound; InvalidRequest, for a moment that is not over.
    """
    if moment > work.now:
        raise errors.invalid_field("as_of", "is in the future")
    terms = await contracts.get_contract(work, contract_id)
    accounts = await list_accounts(work, contract_id)
    balances = await read_balances_at(work, [account.id for account in accounts], moment)

    def total(unit: Unit, kind: AccountKind) -> int:
        return sum(balances[account.id] for account in accounts if account.unit == unit and account.kind == kind)

    month, held = terms.billing_month(moment), Money(total(Unit.MICRO_YUAN, AccountKind.HELD))
    usable = {grant.id for grant in await contracts.list_grants(work, contract_id) if grant.is_within_term(moment)}
    granted = [each for each in accounts if each.kind == AccountKind.GRANTED and each.grant_id in usable]
    watched = terms.at(moment).monthly_budget_micros
    budget = None if watched is None else Money(watched)
    taken = await read_invoiced_at(work, contract_id, moment, month) + held
    return Balance(
        granted_gpu_seconds=-total(Unit.GPU_SECONDS, AccountKind.ISSUED),
        available_gpu_seconds=sum(balances[each.id] for each in granted if each.unit == Unit.GPU_SECONDS),
        held_gpu_seconds=total(Unit.GPU_SECONDS, AccountKind.HELD),
        used_gpu_seconds=total(Unit.GPU_SECONDS, AccountKind.USED),
        granted_tokens=-total(Unit.TOKENS, AccountKind.ISSUED),
        available_tokens=sum(balances[each.id] for each in granted if each.unit == Unit.TOKENS),
        held_tokens=total(Unit.TOKENS, AccountKind.HELD),
        used_tokens=total(Unit.TOKENS, AccountKind.USED),
        month=month,
        budget=budget,
        budget_left=None if budget is None else max(Money.zero(), budget - taken),
        held_money=held,
        used_money=await read_invoiced_at(work, contract_id, moment),
    )


async def read_invoiced_at(work: Work, contract_id: str, moment: datetime, month: str | None = None) -> Money:
    """Read what the usage invoices of a contract asked for by what was captured until a moment: of a month, or of all.

    What was taken back of a closed month by then is taken off.
    """
    corrected = aliased(Capture)
    columns = (Capture.month, Capture.used_month, Capture.unit, Capture.unit_price, Capture.billable)
    query = (
        select(*columns, func.sum(Capture.quantity).label("quantity"))
        .outerjoin(corrected, corrected.id == Capture.corrects_id)
        .where(Capture.contract_id == contract_id, Capture.billable, ~Capture.borne, Capture.created_at <= moment)
        .where(func.coalesce(corrected.month == Capture.month, True))
    )
    taken_back = select(func.coalesce(func.sum(RateCorrection.amount_micros), 0)).where(
        RateCorrection.contract_id == contract_id, RateCorrection.billable, RateCorrection.created_at <= moment
    )
    if month is not None:
        query = query.where(Capture.month == month)
        taken_back = taken_back.where(RateCorrection.month == month)
    rows = await work.session.execute(query.group_by(*columns))
    segments = {
        RateSegment(Unit(row.unit), row.unit_price, row.billable, row.month, row.used_month): int(row.quantity)
        for row in rows
    }
    return sum_invoiced(segments) - Money(int(await work.session.scalar(taken_back) or 0))

"""Telling that a month's budget is used up to a share: once for each, at the capture that reaches it."""

from broker.contracts.events import ContractEventKind, record_contract_event
from broker.contracts.model import ContractTerms
from broker.ledger.limits.budgets import read_invoiced
from broker.work import Work
from pricing.money import Money

SHARES_PERCENT = (50, 80, 100)


def find_reached(budget: Money, used: Money) -> list[int]:
    """Find the shares of a budget that usage has reached, in per cent. Pure."""
    return [share for share in SHARES_PERCENT if used.micros * 100 >= budget.micros * share]


async def tell_budget_used(work: Work, terms: ContractTerms, month: str) -> None:
    """Record the shares of a month's budget that its invoice has come to and that are not recorded yet.

    The caller holds the contract's lock.
    """
    budget = terms.find_watched_budget(month)
    if budget is None:
        return
    used = await read_invoiced(work, terms.id, month)
    facts = {"month": month, "budget": Money(budget).format_amount(), "used": used.format_amount()}
    for share in find_reached(Money(budget), used):
        told = {**facts, "percent": share}
        await record_contract_event(work, terms, ContractEventKind.BUDGET_USED, told, occasion=f"{month}/{share}")

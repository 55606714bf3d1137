"""Telling that a month's budget is used up to a share: once for each, at the capture that reaches it."""

from broker.contracts.keeping.events import ContractEventKind, command_contract_event
from broker.contracts.terms.model import ContractTerms
from broker.persistence.driver import Command
from broker.work import Work
from pricing.money import Money

SHARES_PERCENT = (50, 80, 100)


def find_reached(budget: Money, used: Money) -> list[int]:
    """Find the shares of a budget that usage has reached, in per cent. Pure."""
    return [share for share in SHARES_PERCENT if used.micros * 100 >= budget.micros * share]


def command_budget_alerts(work: Work, terms: ContractTerms, month: str, used: Money) -> list[Command]:
    """Make the commands that record which shares of a month's budget its invoice has come to; each is recorded once.

    The caller holds the contract's lock.
    """
    budget = terms.find_watched_budget(month)
    if budget is None:
        return []
    facts = {"month": month, "budget": Money(budget).format_amount(), "used": used.format_amount()}
    kind = ContractEventKind.BUDGET_USED
    return [
        command_contract_event(work, terms, kind, {**facts, "percent": share}, occasion=f"{month}/{share}")
        for share in find_reached(Money(budget), used)
    ]

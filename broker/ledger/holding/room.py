"""What a contract's monthly budget and its credit limit leave to new holds: one look at what is taken serves both."""

from broker.contracts.terms.model import ContractTerms
from broker.ledger.holding.legs import BudgetRoom
from broker.ledger.limits.budgets import read_taken
from broker.ledger.limits.credit_limits import CreditRoom, find_credit_room
from broker.work import Work


async def read_room(
    work: Work, terms: ContractTerms, month: str, *, free: int | None
) -> tuple[BudgetRoom | None, CreditRoom | None]:
    """Read the room in a month's budget and in the credit limit; None for what the contract does not have.

    `free` is the balance of the budget's account, None before that is first used. Units: micro-yuan. The caller holds
    the contract's lock.
    """
    budget = terms.find_budget(month)
    if budget is None and terms.credit_limit_micros is None:
        return None, None
    taken = await read_taken(work, terms.id)
    credit = await find_credit_room(work, terms, taken)
    if budget is None:
        return None, credit
    return BudgetRoom(taken.find_left(month, budget).micros, budget if free is None else free), credit

"""What is left of a contract: available, held, used, and the month's budget."""

from dataclasses import dataclass

from broker.contracts import service as contracts
from broker.ledger.books.model import AccountKind
from broker.ledger.holding.charge_books import ChargeBooks
from broker.ledger.holding.legs import count_available
from broker.ledger.limits.budgets import read_taken
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit


@dataclass(frozen=True)
class Balance:
    """What is left of a contract. Units: GPU-seconds, tokens, money of the present billing month's budget.

    `used_money` is what usage invoices ask for, of all months, and the budget is left of what they do not ask for.
    """

    granted_gpu_seconds: int
    available_gpu_seconds: int
    held_gpu_seconds: int
    used_gpu_seconds: int
    held_tokens: int
    used_tokens: int
    month: str
    budget: Money | None
    budget_left: Money | None
    held_money: Money
    used_money: Money


async def read_contract_balance(work: Work, contract_id: str) -> Balance:
    """Read what is left of a contract. Raises: NotFound."""
    terms = await contracts.get_contract(work, contract_id)
    books, taken = ChargeBooks(work, terms), await read_taken(work, contract_id)
    totals = await books.read_totals()
    month = terms.billing_month(work.now)
    budget = terms.find_watched_budget(month)
    return Balance(
        granted_gpu_seconds=-totals.get((Unit.GPU_SECONDS, AccountKind.ISSUED), 0),
        available_gpu_seconds=count_available(await books.read_grants(), Unit.GPU_SECONDS, work.now),
        held_gpu_seconds=totals.get((Unit.GPU_SECONDS, AccountKind.HELD), 0),
        used_gpu_seconds=totals.get((Unit.GPU_SECONDS, AccountKind.USED), 0),
        held_tokens=totals.get((Unit.TOKENS, AccountKind.HELD), 0),
        used_tokens=totals.get((Unit.TOKENS, AccountKind.USED), 0),
        month=month,
        budget=None if budget is None else Money(budget),
        budget_left=None if budget is None else taken.find_left(month, budget),
        held_money=Money(totals.get((Unit.MICRO_YUAN, AccountKind.HELD), 0)),
        used_money=taken.sum_asked(),
    )

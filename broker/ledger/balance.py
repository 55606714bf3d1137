"""What is left of a contract: available, held, used, and the month's budget."""

from dataclasses import dataclass

from broker.contracts import service as contracts
from broker.ledger import accounts
from broker.ledger.budgets import read_budget_left
from broker.ledger.legs import read_available
from broker.ledger.model import AccountKind
from broker.ledger.rates import read_invoiced
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
    rows = await accounts.list_accounts(work, contract_id)
    month = terms.billing_month(work.now)

    def total(unit: Unit, kind: AccountKind) -> int:
        return sum(row.balance for row in rows if row.unit == unit and row.kind == kind)

    budget = terms.find_watched_budget(month)
    return Balance(
        granted_gpu_seconds=-total(Unit.GPU_SECONDS, AccountKind.ISSUED),
        available_gpu_seconds=await read_available(work, terms),
        held_gpu_seconds=total(Unit.GPU_SECONDS, AccountKind.HELD),
        used_gpu_seconds=total(Unit.GPU_SECONDS, AccountKind.USED),
        held_tokens=total(Unit.TOKENS, AccountKind.HELD),
        used_tokens=total(Unit.TOKENS, AccountKind.USED),
        month=month,
        budget=None if budget is None else Money(budget),
        budget_left=None if budget is None else await read_budget_left(work, contract_id, month, budget),
        held_money=Money(total(Unit.MICRO_YUAN, AccountKind.HELD)),
        used_money=await read_invoiced(work, contract_id),
    )

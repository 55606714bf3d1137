"""Which accounts pay: grants burn down in their order, then the plan's own price; money comes from a month's budget.

Planning reads and writes nothing: a leg's account is opened when a hold takes the leg.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms, GrantTerms, Overage
from broker.ledger import accounts
from broker.ledger.model import AccountKind, LegState, OnShortfall
from broker.work import Work
from pricing import grants as burn
from pricing.money import Money
from pricing.usage import Unit


@dataclass(frozen=True)
class NewLeg:
    """A leg to be held out of an account of this kind, which is opened when the leg is added to a hold.

    Units: `quantity` in `unit`; `unit_price` in yuan per GPU-hour or token.
    """

    unit: Unit
    source: AccountKind
    quantity: int
    unit_price: Decimal | None
    billable: bool
    grant_id: str | None = None
    month: str | None = None
    borne: bool = False

    def as_state(self) -> LegState:
        return LegState(self.unit, self.unit_price, self.billable, self.quantity, 0, 0, self.month, self.borne)


async def plan_gpu_legs(work: Work, terms: ContractTerms, gpu_seconds: int, on_shortfall: OnShortfall) -> list[NewLeg]:
    """Plan the legs of GPU-seconds: grants first, then the plan's own price where the contract bills overage.

    Usage that has happened is booked even where the contract would refuse it. Raises: InsufficientBalance.
    """
    grants = {grant.id: grant for grant in await contracts.list_grants(work, terms.id)}
    burnt = burn.burn_down(await _burnable(work, terms, grants.values()), gpu_seconds, now=work.now)
    shortfall = burnt.shortfall_gpu_seconds
    if shortfall and on_shortfall == OnShortfall.REFUSE and terms.overage == Overage.REFUSE:
        raise _insufficient_balance(gpu_seconds, gpu_seconds - shortfall, list(grants.values()))
    legs = [_grant_leg(grants[draw.grant_id], draw.gpu_seconds) for draw in burnt.draws]
    if shortfall:
        price = terms.prices_at(work.now).per_gpu_hour
        legs.append(NewLeg(Unit.GPU_SECONDS, AccountKind.UNCOMMITTED, shortfall, price, billable=True))
    return legs


async def _burnable(work: Work, terms: ContractTerms, grants: Iterable[GrantTerms]) -> list[burn.Grant]:
    free = await accounts.read_granted(work, terms.id)
    return [
        burn.Grant(grant.id, free.get(grant.id, 0), grant.unit_price, grant.priority, grant.expires_at)
        for grant in grants
    ]


def _grant_leg(grant: GrantTerms, gpu_seconds: int) -> NewLeg:
    billable = not grant.advance
    return NewLeg(Unit.GPU_SECONDS, AccountKind.GRANTED, gpu_seconds, grant.unit_price, billable, grant.id)


def _insufficient_balance(needed: int, available: int, grants: Sequence[GrantTerms]) -> errors.InsufficientBalance:
    unpaid = any(not grant.active for grant in grants)
    cure = "pay the advance invoice" if unpaid else "buy more hours, or choose a smaller job"
    return errors.InsufficientBalance(
        f"The job needs {needed / 3600:.2f} GPU-hours; {available / 3600:.2f} are available: {cure}.",
        needed_gpu_seconds=needed,
        available_gpu_seconds=available,
    )


async def read_available(work: Work, terms: ContractTerms) -> int:
    """Read how many GPU-seconds a new job could draw from grants now."""
    grants = await contracts.list_grants(work, terms.id)
    free = await accounts.read_granted(work, terms.id)
    return sum(free.get(grant.id, 0) for grant in grants if not grant.has_expired(work.now))


def plan_token_legs(work: Work, terms: ContractTerms, tokens: int) -> list[NewLeg]:
    """Plan the leg of tokens, which are always billed at the plan's price: no plan sells them in advance."""
    if tokens == 0:
        return []
    price = terms.prices_at(work.now).per_token
    return [NewLeg(Unit.TOKENS, AccountKind.UNCOMMITTED, tokens, price, billable=True)]


async def plan_money_legs(
    work: Work, terms: ContractTerms, month: str, micros: int, on_shortfall: OnShortfall
) -> list[NewLeg]:
    """Plan the legs of money, out of a month's budget. Raises: BudgetExceeded."""
    if micros == 0:
        return []
    budget = terms.monthly_budget_micros
    left = micros if budget is None else await accounts.read_budget_left(work, terms.id, month, budget)
    if left < micros and on_shortfall == OnShortfall.REFUSE:
        raise _budget_exceeded(month, micros, left)
    within = min(left, micros)
    legs = [_money_leg(AccountKind.BUDGET, within, month)] if within else []
    if within < micros and on_shortfall == OnShortfall.BOOK:
        legs.append(_money_leg(AccountKind.OVER_BUDGET, micros - within, month))
    return legs


def _money_leg(source: AccountKind, micros: int, month: str) -> NewLeg:
    return NewLeg(Unit.MICRO_YUAN, source, micros, None, billable=False, month=month)


def _budget_exceeded(month: str, micros: int, left_micros: int) -> errors.BudgetExceeded:
    needed, available = Money(micros).format_amount(), Money(left_micros).format_amount()
    return errors.BudgetExceeded(
        f"The job may cost up to {needed}; {available} of {month}'s budget is left: choose a smaller job.",
        needed=needed,
        available=available,
    )

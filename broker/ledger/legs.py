"""Which accounts pay: grants burn down in their order, then the plan's own price; money comes from a month's budget.

Planning reads and writes nothing: a leg's account is opened when a hold takes the leg.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms, GrantTerms, Overage
from broker.ledger import accounts
from broker.ledger.budgets import read_budget_left
from broker.ledger.model import AccountKind, LegState
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


@dataclass(frozen=True)
class OpenGrants:
    """The grants of a contract by their ids, and what is free in each. Units: GPU-seconds."""

    terms: Mapping[str, GrantTerms]
    free: Mapping[str, int]

    def list_usable(self, moment: datetime) -> tuple[str, ...]:
        """List the grants that may pay for usage at a moment."""
        return tuple(sorted(grant.id for grant in self.terms.values() if not grant.has_expired(moment)))

    def less(self, grant_id: str, gpu_seconds: int) -> "OpenGrants":
        """Take GPU-seconds out of one of them."""
        return replace(self, free={**self.free, grant_id: self.free[grant_id] - gpu_seconds})


async def read_open_grants(work: Work, contract_id: str) -> OpenGrants:
    """Read the grants of a contract. The caller holds the contract's lock."""
    grants = {grant.id: grant for grant in await contracts.list_grants(work, contract_id)}
    return OpenGrants(grants, await accounts.read_granted(work, contract_id))


def burn_grants(grants: OpenGrants, gpu_seconds: int, moment: datetime) -> list[NewLeg]:
    """Plan the legs that grants pay of usage at a moment, in their order: as far as they reach."""
    burnable = [
        burn.Grant(grant.id, grants.free.get(grant.id, 0), grant.unit_price, grant.priority, grant.expires_at)
        for grant in grants.terms.values()
    ]
    burnt = burn.burn_down(burnable, gpu_seconds, now=moment)
    return [_grant_leg(grants.terms[draw.grant_id], draw.gpu_seconds) for draw in burnt.draws]


def plan_uncommitted_leg(terms: ContractTerms, unit: Unit, quantity: int, moment: datetime) -> list[NewLeg]:
    """Plan the leg of usage outside any grant, at the plan's own price: GPU-seconds, and tokens always."""
    if quantity == 0:
        return []
    return [NewLeg(unit, AccountKind.UNCOMMITTED, quantity, terms.prices_at(moment).of(unit), billable=True)]


async def plan_gpu_legs(work: Work, terms: ContractTerms, gpu_seconds: int) -> list[NewLeg]:
    """Plan the legs of GPU-seconds: grants first, then the plan's own price where the contract bills overage.

    Raises: InsufficientBalance.
    """
    grants = await read_open_grants(work, terms.id)
    legs = burn_grants(grants, gpu_seconds, work.now)
    shortfall = gpu_seconds - sum(leg.quantity for leg in legs)
    if shortfall and terms.overage == Overage.REFUSE:
        raise _insufficient_balance(gpu_seconds, gpu_seconds - shortfall, list(grants.terms.values()))
    return legs + plan_uncommitted_leg(terms, Unit.GPU_SECONDS, shortfall, work.now)


def _grant_leg(grant: GrantTerms, gpu_seconds: int) -> NewLeg:
    billable = not grant.advance
    return NewLeg(Unit.GPU_SECONDS, AccountKind.GRANTED, gpu_seconds, grant.unit_price, billable, grant.id)


def _insufficient_balance(needed: int, available: int, grants: Sequence[GrantTerms]) -> errors.InsufficientBalance:
    unpaid = any(not grant.active for grant in grants)
    cure = "pay the advance invoice" if unpaid else "buy more hours, or choose a smaller job or max_cost"
    return errors.InsufficientBalance(
        f"The job needs {needed / 3600:.2f} GPU-hours; {available / 3600:.2f} are available: {cure}.",
        needed_gpu_seconds=needed,
        available_gpu_seconds=available,
    )


async def read_available(work: Work, terms: ContractTerms) -> int:
    """Read how many GPU-seconds a new job could draw from grants now."""
    grants = await read_open_grants(work, terms.id)
    return sum(grants.free.get(grant_id, 0) for grant_id in grants.list_usable(work.now))


async def plan_money_legs(work: Work, terms: ContractTerms, month: str, micros: int) -> list[NewLeg]:
    """Plan the legs of the money that a job needs, out of a month's budget. Raises: BudgetExceeded."""
    budget = terms.monthly_budget_micros
    if micros and budget is not None:
        left = await read_budget_left(work, terms.id, month, budget)
        if left.micros < micros:
            raise _budget_exceeded(month, micros, left.micros)
    return await plan_money_within(work, terms, month, micros)


async def plan_money_within(work: Work, terms: ContractTerms, month: str, micros: int) -> list[NewLeg]:
    """Plan the legs of money as far as a month's budget reaches: what usage costs may be less, once it is rounded."""
    budget = terms.monthly_budget_micros
    free = micros if budget is None else await accounts.read_budget_free(work, terms.id, month, budget)
    return plan_money_leg(min(free, micros), month)


def plan_money_leg(micros: int, month: str) -> list[NewLeg]:
    """Plan the leg of money out of a month's budget, which has it."""
    return [NewLeg(Unit.MICRO_YUAN, AccountKind.BUDGET, micros, None, billable=False, month=month)] if micros else []


def _budget_exceeded(month: str, micros: int, left_micros: int) -> errors.BudgetExceeded:
    needed, available = Money(micros).format_amount(), Money(left_micros).format_amount()
    return errors.BudgetExceeded(
        f"The job may cost up to {needed}; {available} of {month}'s budget is left: choose a smaller job or max_cost.",
        needed=needed,
        available=available,
    )

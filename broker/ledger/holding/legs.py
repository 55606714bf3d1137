"""Which accounts pay: grants burn down in their order, then overage; money comes from a month's budget.

Planning reads and writes nothing: a leg's account is opened when a hold takes the leg.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantStatus, GrantTerms, Overage
from broker.ledger.books import accounts
from broker.ledger.books.model import AccountKind
from broker.work import Work
from pricing import grants as burn
from pricing.grants import UsageOrigin
from pricing.money import Money
from pricing.rate_card import UnitPrices
from pricing.usage import METERS, Unit


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

    captured = 0  # it stands among legs that are there as one of which nothing was used

    @property
    def held(self) -> int:
        return self.quantity

    @property
    def open_quantity(self) -> int:
        return self.quantity


@dataclass(frozen=True)
class OpenGrants:
    """The grants of a contract by their ids, and what is free in each. Units: those of their meters."""

    terms: Mapping[str, GrantTerms]
    free: Mapping[str, int]

    @classmethod
    def of(cls, grants: Iterable[GrantTerms], free: Mapping[str, int]) -> "OpenGrants":
        """Make them of a contract's grants, in their order, and what is free in each by its id."""
        return cls({grant.id: grant for grant in grants}, free)

    def only_paid(self) -> "OpenGrants":
        """Keep those that cost nothing as they are used: bought and paid ahead, or given."""
        return OpenGrants({key: each for key, each in self.terms.items() if not each.billable}, self.free)

    def list_closed(self, origin: UsageOrigin, moment: datetime) -> frozenset[str]:
        """List the grants that may not pay for usage at a moment, not even out of what a hold has of them."""
        return frozenset(grant.id for grant in self.terms.values() if not grant.pays_for(origin, moment))

    def list_in_order(self) -> list[str]:
        """List their ids in the order of deduction."""
        return [grant.id for grant in sorted(map(self.describe, self.terms.values()), key=burn.order_of_deduction)]

    def describe(self, grant: GrantTerms) -> burn.Grant:
        """Describe one of them as deduction sees it, with what is free in it."""
        return burn.Grant(
            id=grant.id,
            remaining=self.free.get(grant.id, 0),
            unit_price=grant.unit_price,
            scope=grant.scope,
            kind=grant.kind,
            effective_at=grant.effective_at,
            expires_at=grant.expires_at,
            priority=grant.priority,
        )

    def less(self, grant_id: str, quantity: int) -> "OpenGrants":
        """Take units out of one of them."""
        return OpenGrants(self.terms, {**self.free, grant_id: self.free[grant_id] - quantity})


async def read_open_grants(work: Work, contract_id: str) -> OpenGrants:
    """Read the grants of a contract. The caller holds the contract's lock."""
    grants = await contracts.list_grants(work, contract_id)
    return OpenGrants.of(grants, await accounts.read_granted(work, contract_id))


def list_origins(
    terms: ContractTerms, project_id: str | None, gpu_type: str | None, moment: datetime
) -> Mapping[Unit, UsageOrigin]:
    """List where a job's usage of each meter comes from: it decides the price, and which grants may pay."""
    return _make_origins(project_id, gpu_type, terms.prices_at(moment, gpu_type).gpu_multiplier == 1)


@lru_cache(maxsize=1024)  # each heartbeat asks for those of its run
def _make_origins(project_id: str | None, gpu_type: str | None, base_rate: bool) -> Mapping[Unit, UsageOrigin]:
    return {meter: UsageOrigin(meter, project_id, gpu_type, base_rate) for meter in METERS}


def burn_grants(grants: OpenGrants, quantity: int, origin: UsageOrigin, moment: datetime) -> list[NewLeg]:
    """Plan the legs that grants pay of usage at a moment, in their order: as far as they reach."""
    active = [each for each in grants.terms.values() if each.status == GrantStatus.ACTIVE and each.unit == origin.meter]
    if not active:
        return []
    burnable = [grants.describe(grant) for grant in active]
    burnt = burn.burn_down(burnable, quantity, origin=origin, moment=moment)
    return [_grant_leg(grants.terms[draw.grant_id], draw.quantity) for draw in burnt.draws]


def plan_uncommitted_leg(terms: ContractTerms, origin: UsageOrigin, quantity: int, moment: datetime) -> list[NewLeg]:
    """Plan the leg of usage outside any grant."""
    if quantity == 0:
        return []
    price = price_uncommitted(terms, origin, moment)
    return [NewLeg(origin.meter, AccountKind.UNCOMMITTED, quantity, price, billable=True)]


def price_uncommitted(terms: ContractTerms, origin: UsageOrigin, moment: datetime) -> Decimal:
    """Answer what a unit outside any grant costs. Units: yuan per GPU-hour or token."""
    return find_uncommitted_prices(terms, origin, moment).of(origin.meter)


def find_uncommitted_prices(terms: ContractTerms, origin: UsageOrigin, moment: datetime) -> UnitPrices:
    """Find the prices of usage outside any grant: GPU-hours as overage on their type, tokens at the plan's price."""
    if origin.meter == Unit.GPU_SECONDS:
        return terms.overage_prices_at(moment, origin.gpu_type)
    return terms.prices_at(moment)


def plan_meter_legs(
    grants: OpenGrants, terms: ContractTerms, need: int, origin: UsageOrigin, moment: datetime
) -> list[NewLeg]:
    """Plan the legs of one meter: grants first, then overage, where the contract sells it.

    Units: `need` in the origin's meter. A contract that blocks overage refuses GPU-seconds; tokens are always sold.
    Raises: InsufficientBalance.
    """
    if need == 0:
        return []
    legs = burn_grants(grants, need, origin, moment)
    shortfall = need - sum(leg.quantity for leg in legs)
    if shortfall and terms.at(moment).overage == Overage.BLOCK and origin.meter == Unit.GPU_SECONDS:
        raise _insufficient_balance(need, need - shortfall, list(grants.terms.values()), origin)
    return legs + plan_uncommitted_leg(terms, origin, shortfall, moment)


def _grant_leg(grant: GrantTerms, quantity: int) -> NewLeg:
    return NewLeg(grant.unit, AccountKind.GRANTED, quantity, grant.unit_price, grant.billable, grant.id)


def _insufficient_balance(
    needed: int, available: int, grants: Sequence[GrantTerms], origin: UsageOrigin
) -> errors.InsufficientBalance:
    unpaid = any(grant.status == GrantStatus.PENDING for grant in grants)
    of_type = "" if origin.base_rate else f" of {origin.gpu_type}, which has a price of its own"
    cure = "pay the advance invoice" if unpaid else f"buy more hours{of_type}, or choose a smaller job or max_cost"
    return errors.InsufficientBalance(
        f"The job needs {needed / 3600:.2f} GPU-hours; {available / 3600:.2f} are available: {cure}.",
        needed_gpu_seconds=needed,
        available_gpu_seconds=available,
    )


async def read_available(work: Work, terms: ContractTerms, unit: Unit = Unit.GPU_SECONDS) -> int:
    """Read how many units new jobs could draw from grants now, whatever the scopes of these."""
    return count_available(await read_open_grants(work, terms.id), unit, work.now)


def count_available(grants: OpenGrants, unit: Unit, moment: datetime) -> int:
    """Count how many units new jobs could draw from grants at a moment, whatever the scopes of these."""
    return sum(
        grants.free.get(grant.id, 0)
        for grant in grants.terms.values()
        if grant.unit == unit and grant.status == GrantStatus.ACTIVE and grant.is_within_term(moment)
    )


@dataclass(frozen=True)
class BudgetRoom:
    """What of a month's budget neither an invoice asks for nor a hold has, and what its account has free.

    The two differ by roundings. Units: micro-yuan.
    """

    left: int
    free: int

    def less(self, micros: int) -> "BudgetRoom":
        return BudgetRoom(self.left - micros, self.free - micros)


def plan_money_legs(room: BudgetRoom | None, micros: int, month: str) -> list[NewLeg]:
    """Plan the legs of the money that a job needs, out of a month's budget. Raises: BudgetExceeded."""
    if room is None:
        return plan_money_leg(micros, month)
    if room.left < micros:
        raise _budget_exceeded(month, micros, room.left)
    return plan_money_leg(min(room.free, micros), month)


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

"""What a locked contract has to give to new holds, and what is left of it after each of them. Pure.

So a batch of holds is planned from one look at the contract, each upon what those before it have left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from broker import errors
from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.model import AccountKind, compute_hold_micros
from broker.ledger.holding.legs import BudgetRoom, NewLeg, OpenGrants, list_origins, plan_meter_legs, plan_money_legs
from broker.ledger.holding.paid_grants import find_usable, require_within_paid
from broker.ledger.holding.usage_prices import find_usage_prices
from broker.ledger.limits.credit_limits import CreditRoom
from pricing.usage import Usage
from pricing.usage_prices import UsagePrices

# What says that a contract cannot pay for a need.
UNPAID = (errors.InsufficientBalance, errors.BudgetExceeded, errors.CreditLimitExceeded, errors.InArrears)


@dataclass(frozen=True)
class HoldNeed:
    """What a hold is to reserve, and where the usage will come from: that decides which grants may pay for it."""

    usage: Usage
    project_id: str | None = None
    gpu_type: str | None = None


@dataclass(frozen=True)
class Reserves:
    """What is free in the grants of a contract, and the room in a month's budget and its credit, where it has these."""

    terms: ContractTerms
    month: str
    grants: OpenGrants
    room: BudgetRoom | None
    credit: CreditRoom | None = None

    def plan_hold(self, need: HoldNeed, moment: datetime) -> list[NewLeg]:
        """Plan the legs of a hold: all that it needs, or nothing.

        Raises: NoContractInForce, InArrears, InsufficientBalance, CreditLimitExceeded, BudgetExceeded.
        """
        terms = self.terms
        if not terms.covers(moment):
            raise errors.NoContractInForce(f"Contract {terms.id} is not in force now.", contract_id=terms.id)
        grants = find_usable(terms, self.grants)
        legs: list[NewLeg] = []
        for meter, origin in list_origins(terms, need.project_id, need.gpu_type, moment).items():
            legs += plan_meter_legs(grants, terms, need.usage.count(meter), origin, moment)
        require_within_paid(terms, legs)
        micros = compute_hold_micros(legs)
        if self.credit is not None:
            self.credit.require(micros)
        return legs + plan_money_legs(self.room, micros, self.month)

    def find_prices(self, need: HoldNeed, moment: datetime) -> UsagePrices:
        """Find what the usage of such a hold costs: as far as grants pay at their prices, then as the contract says."""
        origins = list_origins(self.terms, need.project_id, need.gpu_type, moment)
        return find_usage_prices(self.terms, self.grants, origins, moment)

    def less(self, legs: Sequence[NewLeg]) -> "Reserves":
        """Take what a hold reserves out of them."""
        grants, room, credit = self.grants, self.room, self.credit
        for leg in legs:
            if leg.grant_id is not None:
                grants = grants.less(leg.grant_id, leg.quantity)
            elif leg.source == AccountKind.BUDGET:
                room = None if room is None else room.less(leg.quantity)
                credit = None if credit is None else credit.less(leg.quantity)
        return Reserves(self.terms, self.month, grants, room, credit)

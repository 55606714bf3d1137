"""What is told of each part of a month: whose it is, and what it comes to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from broker.contracts.terms.model import ContractTerms


class Place(NamedTuple):
    """Where a cost belongs. None: it is of no project, or of no type of device that is known or asked for."""

    customer_id: str
    contract_id: str
    contract_number: str
    plan: str
    project_id: str | None
    gpu_type: str | None

    @classmethod
    def of(
        cls, terms: ContractTerms, month: str, project_id: str | None = None, gpu_type: str | None = None
    ) -> "Place":
        """Make a place of a contract as a month has it; its number is what it has now."""
        plan = terms.of_month(month).plan.value
        return cls(terms.customer_id, terms.id, terms.contract_number, plan, project_id, gpu_type)

    def amend(self, terms: ContractTerms, month: str, *, final: bool) -> "Place":
        """Answer the place with the plan that the contract had; a final invoice has its number already."""
        number = self.contract_number if final else terms.contract_number
        return self._replace(plan=terms.of_month(month).plan.value, contract_number=number)


@dataclass(frozen=True, slots=True)
class Costs:
    """Sums of one place. Units: jobs, GPU-seconds, tokens; the others micro-yuan, in whole fen.

    `listed` is usage at the prices without a contract, `gpu_cost` and `token_cost` at the contract's, `advance` what of
    those grants have paid. `tax` is that on top of an invoice's lines. `purchased` was asked for in advance, `credited`
    taken back by credit notes, both with tax. `lost` is what the house bore.
    """

    jobs: int = 0
    gpu_seconds: int = 0
    tokens: int = 0
    listed: int = 0
    gpu_cost: int = 0
    token_cost: int = 0
    advance: int = 0
    tier_settlement: int = 0
    guarantee: int = 0
    true_up: int = 0
    tax: int = 0
    purchased: int = 0
    credited: int = 0
    lost: int = 0

    def __add__(self, other: "Costs") -> "Costs":
        return Costs(*map(sum, zip(self.values, other.values, strict=True)))

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(getattr(self, name) for name in NAMES)

    @property
    def cost(self) -> int:
        return self.gpu_cost + self.token_cost

    @property
    def saved(self) -> int:
        """Tell what the contract saves of the list price: by its prices and its volume tiers."""
        return self.listed - self.cost - self.tier_settlement

    @property
    def due(self) -> int:
        """Tell what the month's usage invoice asks for."""
        return self.cost - self.advance + self.tier_settlement + self.guarantee + self.true_up + self.tax


NAMES = tuple(field.name for field in fields(Costs))


class Fact(NamedTuple):
    """What one place costs in a month; `final` is false where its invoice may still change."""

    place: Place
    costs: Costs
    final: bool


def make_fact(told: Mapping[str, Any], amended: ContractTerms | None, month: str, *, final: bool) -> Fact:
    """Make a fact of a row by its columns, those of a place and of its sums, as far as it has them.

    `amended` are the terms of a contract that amendments have changed: its plan and number are those of the month.
    """
    sums = {name: int(told[name]) for name in NAMES if told.get(name) is not None}
    place = Place(*(told[name] for name in Place._fields))
    return Fact(place if amended is None else place.amend(amended, month, final=final), Costs(**sums), final)

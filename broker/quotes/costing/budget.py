"""What a customer's `max_cost` buys of a job, at the prices of its own contract. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from broker.quotes.costing.prices import money_from_json, money_to_json
from broker.quotes.estimating.estimate import JobEstimate
from pricing.budget import JobNeed, JobPart, buy_part
from pricing.money import Money
from pricing.plans import PlanName
from pricing.usage_prices import UsagePrices


@dataclass(frozen=True)
class SpentUnder:
    """The contract that a sum is spent under, and what usage costs there, in the order in which it is charged."""

    id: str
    plan: PlanName
    prices: UsagePrices


@dataclass(frozen=True)
class MaxCostBuys:
    """How much of a job a sum pays for under one contract, where the job takes its p50 and where it takes its p90."""

    contract_id: str
    plan: PlanName
    max_cost: Money
    p50: JobPart
    p90: JobPart

    def to_json(self) -> dict[str, Any]:
        return {
            "contract_id": self.contract_id,
            "plan": self.plan.value,
            "max_cost": money_to_json(self.max_cost),
            "p50": _part_to_json(self.p50),
            "p90": _part_to_json(self.p90),
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "MaxCostBuys":
        return cls(
            contract_id=written["contract_id"],
            plan=PlanName(written["plan"]),
            max_cost=money_from_json(written["max_cost"]),
            p50=_part_from_json(written["p50"]),
            p90=_part_from_json(written["p90"]),
        )


def compute_max_cost_buys(
    contract: SpentUnder, estimate: JobEstimate, rows_per_step: int, max_cost: Money
) -> MaxCostBuys:
    """Compute how much of the job the sum pays for under a contract, at p50 and at p90."""

    def buy(gpu_seconds: int) -> JobPart:
        steps_per_epoch = -(-estimate.rows // rows_per_step)
        need = JobNeed(gpu_seconds, estimate.tokens, estimate.steps, steps_per_epoch)
        return buy_part(contract.prices, max_cost, need)

    p50, p90 = buy(estimate.gpu_seconds.p50), buy(estimate.gpu_seconds.p90)
    return MaxCostBuys(contract.id, contract.plan, max_cost, p50, p90)


def _part_to_json(part: JobPart) -> dict[str, Any]:
    return {
        "steps": part.steps,
        "epochs": str(part.epochs),
        "percent": str(part.percent),
        "cost": money_to_json(part.cost),
    }


def _part_from_json(written: Mapping[str, Any]) -> JobPart:
    return JobPart(
        steps=written["steps"],
        epochs=Decimal(written["epochs"]),
        percent=Decimal(written["percent"]),
        cost=money_from_json(written["cost"]),
    )

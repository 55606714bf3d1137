"""What a customer's `max_cost` buys of a job, at the prices of its own contract. Pure."""

from dataclasses import dataclass
from typing import Any

from broker.contracts.model import ContractTerms
from broker.quotes.model import JobEstimate
from pricing.budget import JobNeed, JobPart, buy_part
from pricing.money import Money
from pricing.training.config import TrainingConfig


@dataclass(frozen=True)
class QuoteBudget:
    """A sum that the customer would spend, and the contract to buy on where it has several."""

    max_cost: Money
    contract_id: str | None = None


def describe_purchase(
    terms: ContractTerms, estimate: JobEstimate, config: TrainingConfig, max_cost: Money
) -> dict[str, Any]:
    """What the sum pays for at p50 and at p90, as the quote keeps it."""
    return {
        "contract_id": terms.id,
        "plan": terms.plan.value,
        "max_cost": money_to_json(max_cost),
        "p50": _part_to_json(terms, max_cost, _need(estimate, config, estimate.gpu_seconds.p50)),
        "p90": _part_to_json(terms, max_cost, _need(estimate, config, estimate.gpu_seconds.p90)),
    }


def _need(estimate: JobEstimate, config: TrainingConfig, gpu_seconds: int) -> JobNeed:
    work = estimate.workload
    steps_per_epoch = -(-work.rows // config.rows_per_step)
    return JobNeed(gpu_seconds, work.tokens, work.steps, steps_per_epoch)


def _part_to_json(terms: ContractTerms, max_cost: Money, need: JobNeed) -> dict[str, Any]:
    part: JobPart = buy_part(terms.card, terms.plan, max_cost, need)
    return {
        "steps": part.steps,
        "epochs": str(part.epochs),
        "percent": str(part.percent),
        "cost": money_to_json(part.cost),
    }


def money_to_json(money: Money) -> dict[str, str]:
    return {"amount": money.format_amount(), "currency": money.currency}

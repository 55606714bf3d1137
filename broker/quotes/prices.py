"""What GPU-seconds and tokens cost on every plan, at p50 and at p90. Pure."""

from typing import Any

from broker.quotes.budget import money_to_json
from pricing.estimate.run_estimate import GpuSeconds
from pricing.plans import Meter, PlanName
from pricing.quote import price_line
from pricing.rate_card import RateCard
from pricing.rating import UsageTotal


def price_on_every_plan(card: RateCard, gpu_seconds: GpuSeconds, tokens: int) -> list[dict[str, Any]]:
    """On-demand first. Each line is rounded once, to the fen, and a total is the sum of its lines."""
    expected = UsageTotal(Meter.GPU_SECONDS, gpu_seconds.p50)
    cautious = UsageTotal(Meter.GPU_SECONDS, gpu_seconds.p90)
    text = UsageTotal(Meter.TOKENS, tokens)
    return [_price(card, plan, expected, cautious, text) for plan in PlanName]


def _price(
    card: RateCard, plan: PlanName, expected: UsageTotal, cautious: UsageTotal, text: UsageTotal
) -> dict[str, Any]:
    gpu_cost, token_cost = price_line(expected, card, plan), price_line(text, card, plan)
    return {
        "plan": plan.value,
        "gpu_cost": money_to_json(gpu_cost),
        "token_cost": money_to_json(token_cost),
        "total": money_to_json(gpu_cost + token_cost),
        "total_p90": money_to_json(price_line(cautious, card, plan) + token_cost),
    }

"""What GPU-seconds and tokens cost on every plan, at p50 and at p90. Pure."""

from typing import Any

from broker.quotes.budget import money_to_json
from pricing.estimate.run_estimate import GpuSeconds
from pricing.quote import compare_plans
from pricing.rate_card import RateCard


def price_on_every_plan(card: RateCard, gpu_seconds: GpuSeconds, tokens: int) -> list[dict[str, Any]]:
    expected = compare_plans(card, gpu_seconds=gpu_seconds.p50, tokens=tokens)
    cautious = compare_plans(card, gpu_seconds=gpu_seconds.p90, tokens=tokens)
    return [
        {
            "plan": price.plan.value,
            "gpu_cost": money_to_json(price.gpu_cost),
            "token_cost": money_to_json(price.token_cost),
            "total": money_to_json(price.total),
            "total_p90": money_to_json(upper.total),
        }
        for price, upper in zip(expected, cautious, strict=True)
    ]

"""What is left of a job that goes on from a checkpoint. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from broker.quotes.costing.prices import money_from_json, money_to_json
from broker.quotes.estimating.estimate import JobEstimate
from pricing.estimate.run_estimate import GpuSeconds
from pricing.estimate.type_choice import TypedRun
from pricing.money import Money
from pricing.usage import Usage
from pricing.usage_prices import UsagePrices


@dataclass(frozen=True)
class CostRange:
    """A price at p50 and at p90, exact to the micro-yuan."""

    p50: Money
    p90: Money


@dataclass(frozen=True)
class Remaining:
    """What a job still needs. Units: optimizer steps, tokens, GPU-seconds; `cost` is their price under its contract."""

    steps: int
    tokens: int
    gpu_seconds: GpuSeconds
    cost: CostRange

    def to_json(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "tokens": self.tokens,
            "gpu_seconds": {"p50": self.gpu_seconds.p50, "p90": self.gpu_seconds.p90},
            "cost": {"p50": money_to_json(self.cost.p50), "p90": money_to_json(self.cost.p90)},
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "Remaining":
        cost = written["cost"]
        return cls(
            steps=written["steps"],
            tokens=written["tokens"],
            gpu_seconds=GpuSeconds(**written["gpu_seconds"]),
            cost=CostRange(money_from_json(cost["p50"]), money_from_json(cost["p90"])),
        )


def estimate_remaining(
    estimate: JobEstimate, prices: UsagePrices, *, done_steps: int, trained_steps: int, used_gpu_seconds: int
) -> Remaining:
    """Estimate what is left by the estimate's share of the steps left; where it was overrun, by the job's own pace.

    `done_steps` are those of the checkpoint that the job goes on from, `trained_steps` the most it ever reached.
    """
    steps, quoted = estimate.steps, estimate.gpu_seconds
    left = max(0, steps - done_steps)
    was_overrun = trained_steps > 0 and used_gpu_seconds >= quoted.p90
    pace = _share(used_gpu_seconds, left, trained_steps) if was_overrun else 0
    tokens = _share(estimate.tokens, left, steps)
    p50, p90 = (max(pace, _share(whole, left, steps)) for whole in (quoted.p50, quoted.p90))
    cost = CostRange(*(Money.from_exact(prices.price(Usage(seconds, tokens).by_meter)) for seconds in (p50, p90)))
    return Remaining(left, tokens, GpuSeconds(p50, p90), cost)


def find_share(remaining: Remaining, estimate: JobEstimate) -> Fraction:
    """Find which share of a job is left, by the time of the type that both are of; its own pace is in it."""
    return Fraction(remaining.gpu_seconds.p90, estimate.gpu_seconds.p90)


def move_to_type(remaining: Remaining, before: JobEstimate, after: JobEstimate, runs: Iterable[TypedRun]) -> Remaining:
    """Tell what is left on another type: the same share of the job's seconds there, and of what it costs there.

    `runs` are the job's, with their prices.
    """
    share = find_share(remaining, before)
    seconds = GpuSeconds(*(-(-whole * share // 1) for whole in after.gpu_seconds))
    prices = {run.sku: run.price_micros for run in runs}
    dearer = Fraction(prices[after.sku], prices[before.sku]) if prices.get(before.sku) else Fraction(1)
    cost = CostRange(
        *(Money.from_exact(Fraction(each.to_decimal()) * dearer) for each in vars(remaining.cost).values())
    )
    return replace(remaining, gpu_seconds=seconds, cost=cost)


def _share(whole: int, part: int, parts: int) -> int:
    """Compute a share, rounded up: what is left must suffice."""
    return -(-whole * part // parts)

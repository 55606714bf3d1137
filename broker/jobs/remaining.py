"""What is left of a job that goes on from a checkpoint. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.contracts.model import ContractTerms
from broker.quotes.budget import money_to_json
from pricing.money import Money
from pricing.plans import Meter
from pricing.rating import price_usage


@dataclass(frozen=True)
class Remaining:
    """Units: optimizer steps, tokens, GPU-seconds at p50 and p90."""

    steps: int
    tokens: int
    p50: int
    p90: int

    def to_json(self, terms: ContractTerms) -> dict[str, Any]:
        """With its price under the contract, exact to the micro-yuan."""
        return {
            "steps": self.steps,
            "tokens": self.tokens,
            "gpu_seconds": {"p50": self.p50, "p90": self.p90},
            "cost": {"p50": self._price(terms, self.p50), "p90": self._price(terms, self.p90)},
        }

    def _price(self, terms: ContractTerms, gpu_seconds: int) -> dict[str, str]:
        time = price_usage(Meter.GPU_SECONDS, gpu_seconds, terms.gpu_hour_price)
        text = price_usage(Meter.TOKENS, self.tokens, terms.token_price)
        return money_to_json(Money.from_exact(time + text))


def estimate_remaining(
    estimate: Mapping[str, Any], *, done_steps: int, trained_steps: int, used_gpu_seconds: int
) -> Remaining:
    """The estimate's share of the steps that are left; where it was overrun, the job's own pace instead.

    `done_steps` are those of the checkpoint that the job goes on from, `trained_steps` the most it ever reached.
    """
    steps, quoted = estimate["steps"], estimate["gpu_seconds"]
    left = max(0, steps - done_steps)
    was_overrun = trained_steps > 0 and used_gpu_seconds >= quoted["p90"]
    pace = _share(used_gpu_seconds, left, trained_steps) if was_overrun else 0
    return Remaining(
        steps=left,
        tokens=_share(estimate["tokens"], left, steps),
        p50=max(pace, _share(quoted["p50"], left, steps)),
        p90=max(pace, _share(quoted["p90"], left, steps)),
    )


def _share(whole: int, part: int, parts: int) -> int:
    """Rounded up: what is left must suffice."""
    return -(-whole * part // parts)

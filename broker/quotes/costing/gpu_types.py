"""The GPU types that a job may run on: on each what it needs and costs, or why it does not fit there. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.quotes.costing.prices import PlanQuote
from broker.quotes.estimating.estimate import JobEstimate
from pricing.plans import PlanName


@dataclass(frozen=True)
class QuotedType:
    """A GPU type that a job fits on: what it needs there, and what that costs on every plan."""

    estimate: JobEstimate
    prices: Sequence[PlanQuote]

    @property
    def sku(self) -> str:
        return self.estimate.sku

    def price_on(self, plan: PlanName) -> PlanQuote:
        """Pick the price on one plan, as the quote shows it."""
        (price,) = (price for price in self.prices if price.plan == plan)
        return price

    def to_json(self) -> dict[str, Any]:
        return {"estimate": self.estimate.to_json(), "prices": write_prices(self.prices)}


@dataclass(frozen=True)
class UnfitType:
    """A GPU type that a job cannot run on; `reason` says why, and what would help."""

    sku: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"sku": self.sku, "reason": self.reason}


def write_prices(prices: Sequence[PlanQuote]) -> list[dict[str, Any]]:
    return [price.to_json() for price in prices]


def read_prices(written: Sequence[Mapping[str, Any]]) -> list[PlanQuote]:
    return [PlanQuote.from_json(price) for price in written]


def write_types(types: Sequence[QuotedType | UnfitType]) -> list[dict[str, Any]]:
    return [each.to_json() for each in types]


def read_types(written: Sequence[Mapping[str, Any]]) -> list[QuotedType | UnfitType]:
    """Read what `write_types` wrote. Raises: KeyError, TypeError, ValueError, for what it never wrote."""
    return [
        UnfitType(each["sku"], each["reason"])
        if "reason" in each
        else QuotedType(JobEstimate.from_json(each["estimate"]), read_prices(each["prices"]))
        for each in written
    ]

"""The prices of a sweep: each combination of its settings with what it needs and costs, and all of them together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.text import Text

from broker.cli.output import one_line
from broker.cli.texts.columns import Column, make_table
from broker.cli.texts.values import describe_hours
from broker.cli.words import say
from broker.client.objects.contracts import Contract
from broker.client.objects.quotes import PlanPrice, Quote
from broker.client.objects.values import Money

COLUMNS = (Column("settings"), Column("GPU-hours", right=True), Column("in all, yuan", right=True))


@dataclass(frozen=True)
class SweepOffer:
    """The quotes of a sweep, in its order, what each changes, and the contract that would pay; None: there is none."""

    quotes: Sequence[Quote]
    changes: Sequence[Mapping[str, Any]]
    contract: Contract | None = None

    @property
    def plan(self) -> str:
        return self.contract["plan"] if self.contract else "on_demand"

    @property
    def prices(self) -> list[PlanPrice]:
        """The price of each on the contract's plan, or on demand where there is none."""
        return [next(each for each in quote["prices"] if each["plan"] == self.plan) for quote in self.quotes]


def make_sweep(offer: SweepOffer) -> list[Text]:
    """Make the lines of a sweep's prices, and their sum."""
    rows = [
        [_describe_change(change), describe_hours(quote["estimate"]["gpu_hours"]), _describe_price(price)]
        for change, quote, price in zip(offer.changes, offer.quotes, offer.prices, strict=True)
    ]
    least, most = _add([price["total"] for price in offer.prices]), _add([price["total_p90"] for price in offer.prices])
    return make_table(
        COLUMNS,
        [
            *rows,
            [
                say("{count} jobs on {plan}", count=len(rows), plan=offer.plan),
                "",
                say("{low} to {high}", low=least, high=most),
            ],
        ],
    )


def make_sweep_question(offer: SweepOffer) -> str:
    """Make the question before a sweep is submitted."""
    most = _add([price["total_p90"] for price in offer.prices])
    payer = f"{offer.contract['id']} ({offer.plan})" if offer.contract else say("nobody")
    return say(
        "Reserve at most {most} yuan for {count} jobs, from {payer}? Submit?",
        most=most,
        count=len(offer.quotes),
        payer=payer,
    )


def _add(amounts: Sequence[Money]) -> Decimal:
    return sum((Decimal(each["amount"]) for each in amounts), Decimal(0))


def _describe_change(change: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {one_line(value)}" for key, value in change.items())


def _describe_price(price: PlanPrice) -> str:
    return say("{low} to {high}", low=price["total"]["amount"], high=price["total_p90"]["amount"])

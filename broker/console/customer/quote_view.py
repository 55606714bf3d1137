"""A quote as a person decides by it: its price from low to high, when it would start and end, and three offers. Pure.

It is read off the answer of `POST /v1/quotes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from broker.console.frame.menu import N_
from pricing.money import Money


@dataclass(frozen=True)
class Offer:
    """The job on one GPU type, under the contract's prices; `starts`, `ends` are moments at p50 and p90, or unknown."""

    sku: str
    is_tight: bool
    vram_gib: float
    low: Money
    high: Money
    run_p50: timedelta
    run_p90: timedelta
    starts: tuple[datetime, datetime] | None

    @property
    def ends(self) -> tuple[datetime, datetime] | None:
        return None if self.starts is None else (self.starts[0] + self.run_p50, self.starts[1] + self.run_p90)

    def wait(self, now: datetime) -> tuple[timedelta, timedelta] | None:
        """Tell how long it would wait, at p50 and p90; None where nobody knows."""
        if self.starts is None:
            return None
        return max(timedelta(), self.starts[0] - now), max(timedelta(), self.starts[1] - now)


@dataclass(frozen=True)
class NamedOffer:
    """An offer and why it is named; several reasons may name one offer."""

    reasons: tuple[str, ...]
    offer: Offer


@dataclass(frozen=True)
class UnfitOffer:
    """A GPU type on which the job cannot run, and what would help."""

    sku: str
    reason: str


@dataclass(frozen=True)
class QuoteView:
    """A quote as it is shown. `reserved` is what submitting holds: the highest price, or the budget cap below it."""

    id: str
    contract_id: str | None
    plan: str
    offers: Sequence[Offer]
    unfit: Sequence[UnfitOffer]
    named: Sequence[NamedOffer]
    chosen: str
    reserved: Money
    is_capped: bool
    expires_at: datetime
    steps: int
    tokens: int
    rows: int
    uncertain: Sequence[str]
    findings: Mapping[str, Any] | None
    buys: Mapping[str, Any] | None
    misses_deadline: bool

    @property
    def main(self) -> Offer:
        """The offer that the price on top is of: the chosen one, or the cheapest, which a job would rather have."""
        return next((each for each in self.offers if each.sku == self.chosen), min(self.offers, key=_rank_by_price))

    @property
    def low(self) -> Money:
        return self.main.low

    @property
    def high(self) -> Money:
        return self.main.high

    @property
    def reserves_for_dearer(self) -> bool:
        """Tell whether more is held than the price on top says: it may run on a dearer type than that is of."""
        return self.reserved.micros > self.high.micros


def read_quote(
    body: Mapping[str, Any], *, max_cost: Money | None, finish_by: datetime | None, chosen: str = ""
) -> QuoteView:
    """Read a quote off the API's answer. `chosen`: the only GPU type that it may run on; empty: any that fits."""
    price = find_own_price(body["prices"])
    fitting = [each for each in body["gpu_types"] if each["fit"] != "does_not_fit"]
    offers = [_read_offer(each, price["plan"], body["estimate"]["gpus"]) for each in fitting]
    highest = max((each.high for each in offers if chosen in {"", each.sku}), key=lambda money: money.micros)
    reserved = highest if max_cost is None else min(highest, max_cost, key=lambda money: money.micros)
    return QuoteView(
        id=body["id"],
        contract_id=price["contract_id"],
        plan=price["plan"],
        offers=offers,
        unfit=[UnfitOffer(each["sku"], each["reason"]) for each in body["gpu_types"] if each["reason"] is not None],
        named=name_offers(offers, finish_by),
        chosen=chosen if chosen in {each.sku for each in offers} else "",
        reserved=reserved,
        is_capped=reserved != highest,
        expires_at=datetime.fromisoformat(body["expires_at"]),
        steps=body["estimate"]["steps"],
        tokens=body["estimate"]["tokens"],
        rows=body["estimate"]["rows"],
        uncertain=body["estimate"]["uncertain"],
        findings=body["findings"],
        buys=body["max_cost_buys"],
        misses_deadline=finish_by is not None
        and any(each.ends is not None for each in offers)
        and not any(each.ends is not None and each.ends[1] <= finish_by for each in offers),
    )


def find_own_price(prices: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Find the price that the customer's contract charges; without a contract the dearest plan, which all may have."""
    return next((each for each in prices if each["contract_id"] is not None), prices[0])


def _read_offer(told: Mapping[str, Any], plan: str, gpus: int) -> Offer:
    price = next(each for each in told["prices"] if each["plan"] == plan)
    start, seconds = told["expected_start"], told["gpu_seconds"]
    starts = None
    if start is not None and start["p50"] is not None and start["p90"] is not None:
        starts = (datetime.fromisoformat(start["p50"]), datetime.fromisoformat(start["p90"]))
    return Offer(
        sku=told["sku"],
        is_tight=told["fit"] == "tight",
        vram_gib=told["vram_gib"],
        low=Money.from_decimal(price["total"]["amount"]),
        high=Money.from_decimal(price["total_p90"]["amount"]),
        run_p50=timedelta(seconds=seconds["p50"] / gpus),
        run_p90=timedelta(seconds=seconds["p90"] / gpus),
        starts=starts,
    )


def name_offers(offers: Sequence[Offer], finish_by: datetime | None) -> list[NamedOffer]:
    """Name the cheapest and the fastest offer, and the cheapest that nine of ten times has ended by the deadline.

    Where nobody knows when something starts, the fastest is that which runs shortest.
    """
    if not offers:
        return []
    by_reason = {N_("Cheapest"): min(offers, key=_rank_by_price), N_("Fastest"): _find_fastest(offers)}
    in_time = [each for each in offers if finish_by is not None and each.ends is not None and each.ends[1] <= finish_by]
    if in_time:
        by_reason[N_("By the deadline")] = min(in_time, key=_rank_by_price)
    named: dict[str, NamedOffer] = {}
    for reason, offer in by_reason.items():
        earlier = named[offer.sku].reasons if offer.sku in named else ()
        named[offer.sku] = NamedOffer((*earlier, reason), offer)
    return list(named.values())


def _rank_by_price(offer: Offer) -> tuple[int, timedelta]:
    return offer.high.micros, offer.run_p90


def _find_fastest(offers: Sequence[Offer]) -> Offer:
    known = [(each.ends[0], each.run_p50, place, each) for place, each in enumerate(offers) if each.ends is not None]
    return min(known)[-1] if known else min(offers, key=lambda each: each.run_p50)

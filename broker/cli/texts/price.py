"""A quote in words: what a job needs, what it costs on one's own plan, and what is reserved for it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rich.text import Text

from broker.cli.texts.columns import Column, make_card, make_table
from broker.cli.texts.values import (
    DASH,
    describe_count,
    describe_hours,
    describe_local,
    describe_money,
    parse_moment,
)
from broker.cli.words import say, translate
from broker.client.objects.contracts import Balance, Contract
from broker.client.objects.quotes import CoveredUnits, Estimate, PlanPrice, Quote, QuotedType
from broker.client.objects.values import Money

COLUMNS = (
    Column("plan"),
    Column("GPU time, yuan", right=True),
    Column("tokens, yuan", right=True),
    Column("in all, yuan", right=True),
)
TYPE_COLUMNS = (
    Column("GPU type"),
    Column("GPU-hours", right=True),
    Column("in all, yuan", right=True),
    Column("starts"),
    Column("note"),
)
NO_CONTRACT = "No contract is in force: these are the plans' prices."
NO_PRICE = "The contract's own plan has no price here: these are the other plans' prices."


@dataclass(frozen=True)
class Offer:
    """A quote for somebody: the contract that would pay (None: there is none), its balance, and the own limit."""

    quote: Quote
    contract: Contract | None = None
    balance: Balance | None = None
    max_cost: str | None = None

    @property
    def own_price(self) -> PlanPrice | None:
        """Find the price on the contract's plan."""
        plan = self.contract["plan"] if self.contract else None
        return next((price for price in self.quote["prices"] if price["plan"] == plan), None)


def make_offer(offer: Offer, now: datetime, width: int, *, compare: bool = False) -> list[Text]:
    """Make the lines of a quote: the price on the own plan; on the others where there is none, or on demand."""
    prices = offer.quote["prices"]
    own = offer.own_price
    shown = [price for price in prices if own is None or compare or price is own]
    rows = [_make_row(price, is_own=price is own and len(shown) > 1) for price in shown]
    facts = make_card([*_tell_need(offer, now), *_tell_terms(offer)], width)
    note = [] if own else [Text(say(NO_CONTRACT if offer.contract is None else NO_PRICE))]
    return [
        *make_table(COLUMNS, rows),
        Text(say("Ranges are from p50 (half of such jobs) to p90 (nine of ten)."), "dim"),
        *note,
        *_tell_types(offer, now),
        *facts,
        *[Text(sentence, "dim") for sentence in offer.quote["estimate"].get("uncertain", [])],
    ]


def _tell_types(offer: Offer, now: datetime) -> list[Text]:
    """Make the table of the GPU types that pools have, where there are several; priced on the own plan or on demand."""
    types = offer.quote.get("gpu_types", [])  # a broker of before has none
    plan = offer.contract["plan"] if offer.contract else "on_demand"
    return make_table(TYPE_COLUMNS, [_make_type_row(each, plan, now) for each in types]) if len(types) > 1 else []


def _make_type_row(quoted: QuotedType, plan: str, now: datetime) -> list[str]:
    hours = quoted["gpu_hours"]
    if hours is None:
        return [quoted["sku"], "", "", "", say("does not fit: {reason}", reason=quoted["reason"])]
    price = next((each for each in quoted["prices"] if each["plan"] == plan), None)
    total = _describe_range(price["total"]["amount"], price["total_p90"]["amount"]) if price else DASH
    note = "" if quoted["fit"] == "fits" else translate(quoted["fit"])
    return [quoted["sku"], describe_hours(hours), total, _describe_start(quoted, now), note]


def _describe_start(quoted: QuotedType, now: datetime) -> str:
    """Describe when the job would start on a type, as half of such jobs do; empty where no cycle has told."""
    start = quoted.get("expected_start")  # a broker of before has none
    if not start:
        return ""
    if start["p50"] is None:
        return say("not known")
    return say("now") if parse_moment(start["p50"]) <= now else describe_local(start["p50"], now)


def _make_row(price: PlanPrice, *, is_own: bool) -> list[str]:
    return [
        price["plan"] + (say(" (yours)") if is_own else ""),
        _describe_range(price["gpu_cost"]["amount"], price["gpu_cost_p90"]["amount"]),
        price["token_cost"]["amount"],
        _describe_range(price["total"]["amount"], price["total_p90"]["amount"]),
    ]


def _describe_range(low: str, high: str) -> str:
    return low if low == high else say("{low} to {high}", low=low, high=high)


def _tell_need(offer: Offer, now: datetime) -> list[tuple[str, str]]:
    quote, estimate = offer.quote, offer.quote["estimate"]
    work = f"{describe_count(estimate['tokens'], 'token')}, {describe_count(estimate['steps'], 'step')}"
    rows, hours = describe_count(estimate["rows"], "row"), describe_hours(estimate["gpu_hours"])
    return [
        ("Left out", _describe_left_out(quote)),
        (
            "Needs",
            say("{hours} GPU-hours on {devices}", hours=hours, devices=_describe_devices(estimate))
            + f", {work}, {rows}",
        ),
        ("Quote", say("{quote}, good until {time}", quote=quote["id"], time=describe_local(quote["expires_at"], now))),
    ]


def _describe_devices(estimate: Estimate) -> str:
    gpus = estimate.get("gpus", 1)  # a broker of before has none
    return estimate["sku"] if gpus == 1 else f"{gpus} {estimate['sku']}"


def _describe_left_out(quote: Quote) -> str:
    """Describe how much of the data the job will not read; empty where it reads all."""
    findings = quote.get("findings")  # a broker of before has none
    left_out = findings["left_out"] if findings else 0
    return say("{rows} of the data that cannot be trained", rows=describe_count(left_out, "row")) if left_out else ""


def _tell_terms(offer: Offer) -> list[tuple[str, str]]:
    contract, balance = offer.contract, offer.balance
    if contract is None:
        return []
    left = []
    if balance and Decimal(balance["granted_gpu_hours"]):
        left.append(say("{hours} GPU-hours available", hours=balance["available_gpu_hours"]))
    if balance and balance["budget_left"]:
        left.append(say("{sum} left of the month's budget", sum=describe_money(balance["budget_left"])))
    return [
        ("Contract", f"{contract['id']} ({contract['plan']})"),
        ("Balance", ", ".join(left)),
        ("Of grants", _describe_covered(offer.own_price)),
        ("Beyond them", _describe_beyond(offer.own_price)),
        ("Limit", _describe_promise(offer)),
        ("Your limit", _describe_purchase(offer)),
    ]


def _describe_beyond(own: PlanPrice | None) -> str:
    """Describe what GPU-hours cost that the grants do not cover; empty where they cost what the others do."""
    price = own.get("overage_gpu_hour_price") if own else None  # a broker of before has none
    if own is None or price is None or price == own["gpu_hour_price"]:
        return ""
    return say("{price} yuan a GPU-hour, which is in these prices", price=price)


def _describe_covered(own: PlanPrice | None) -> str:
    """Describe what grants pay for, where not all of it costs what the plan says."""
    covered = (own.get("covered_by_grants") if own else None) or []  # a broker of before has none
    told = "{units} at {price} yuan"
    return ", ".join(say(told, units=_describe_units(each), price=each["unit_price"]) for each in covered)


def _describe_units(covered: CoveredUnits) -> str:
    if covered["meter"] == "tokens":
        return describe_count(covered["quantity"], "token")
    return say("{hours} GPU-hours", hours=f"{Decimal(covered['quantity']) / 3600:.4f}")


def _describe_promise(offer: Offer) -> str:
    """Describe where the job will stop costing, and what happens there."""
    own, contract = offer.own_price, offer.contract
    if own is None or contract is None:
        return ""
    quoted = describe_money(own["total_p90"])
    if contract["quote_guarantee"] == "cap":
        capped = say("you are never charged more than {sum}; beyond that it runs on us", sum=quoted)
        least = _describe_least(own, offer.max_cost)
        return capped if least == quoted else capped + say("; it pauses at your {sum}", sum=least)
    return say("it pauses at {sum}, until you resume it with a higher --max-cost", sum=_describe_most(offer, own))


def _describe_purchase(offer: Offer) -> str:
    buys = offer.quote["max_cost_buys"]
    if not buys:
        return ""
    steps, total = sorted({buys["p90"]["steps"], buys["p50"]["steps"]}), offer.quote["estimate"]["steps"]
    bought = str(steps[0]) if len(steps) == 1 else say("{low} to {high}", low=steps[0], high=steps[1])
    return say("{sum} buys {steps} of {total} steps", sum=describe_money(buys["max_cost"]), steps=bought, total=total)


def _describe_most(offer: Offer, own: PlanPrice) -> str:
    """Describe what the job may cost at most: its quote, where no `--max-cost` says otherwise, or a cap holds."""
    if offer.max_cost is None or offer.contract is None or offer.contract["quote_guarantee"] == "cap":
        return _describe_least(own, offer.max_cost)
    return describe_money(Money(amount=offer.max_cost, currency=own["total_p90"]["currency"]))


def _describe_least(own: PlanPrice, max_cost: str | None) -> str:
    quoted = own["total_p90"]
    if max_cost is not None and Decimal(max_cost) < Decimal(quoted["amount"]):
        return describe_money(Money(amount=max_cost, currency=quoted["currency"]))
    return describe_money(quoted)


def make_question(offer: Offer) -> str:
    """Make the question before a submission: what is reserved, from which contract, and what happens at the limit."""
    estimate, own, contract = offer.quote["estimate"], offer.own_price, offer.contract
    tokens = describe_count(estimate["tokens"], "token")
    need = say("up to {hours} GPU-hours and {tokens}", hours=estimate["gpu_hours"]["p90"], tokens=tokens)
    if own is None or contract is None:
        return say("Reserve {need}, and submit?", need=need)
    most, payer = _describe_most(offer, own), f"{contract['id']} ({contract['plan']})"
    promise = _describe_promise(offer)
    told = "Reserve {need}, at most {sum}, from {payer}? {promise}. Submit?"
    return say(told, need=need, sum=most, payer=payer, promise=promise[0].upper() + promise[1:])


def find_in_force(contracts: Sequence[Contract], now: datetime) -> list[Contract]:
    """Find the contracts that can pay now."""
    return [
        contract
        for contract in contracts
        if parse_moment(contract["starts_at"]) <= now
        and (contract["ends_at"] is None or now < parse_moment(contract["ends_at"]))
        and contract["status"] != "cancelled"
    ]

"""A quote as a person decides by it: what it reserves, and which of its types is cheapest, fastest, and in time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from broker.console.customer.quote_view import read_quote
from pricing.money import Money

NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)


def price(total: str, p90: str, contract: str | None = "con_1", plan: str = "prepaid") -> dict[str, Any]:
    return {"plan": plan, "contract_id": contract, "total": {"amount": total}, "total_p90": {"amount": p90}}


def gpu_type(sku: str, seconds: int, cost: str, waits: int | None, fit: str = "fits") -> dict[str, Any]:
    start = None if waits is None else {"queue": "q", "p50": at(waits), "p90": at(2 * waits)}
    return {
        "sku": sku,
        "fit": fit,
        "reason": None,
        "vram_gib": 3.1,
        "gpu_seconds": {"p50": seconds, "p90": 2 * seconds},
        "expected_start": start,
        "prices": [price("9.00", "19.00", None, "on_demand"), price("1.00", cost)],
    }


def at(minutes: int) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat()


def quote(*types: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "quo_1",
        "prices": types[0]["prices"],
        "gpu_types": list(types),
        "estimate": {"steps": 32, "tokens": 1000, "rows": 64, "uncertain": [], "gpus": 1},
        "expires_at": at(60),
        "findings": None,
        "max_cost_buys": None,
    }


CHEAP = gpu_type("rtx-3090", 3600, "30.00", 60)
FAST = gpu_type("h200", 600, "38.20", 1)
MIDDLE = gpu_type("rtx-4090", 1800, "33.00", 5)
UNFIT = {**gpu_type("t4", 1, "1.00", 1, fit="does_not_fit"), "reason": "needs 31 GiB", "prices": []}


def test_submitting_reserves_the_dearest_type_that_it_may_run_on() -> None:
    shown = read_quote(quote(CHEAP, FAST, UNFIT), max_cost=None, finish_by=None)
    assert shown.reserved == Money.from_decimal("38.20")
    assert shown.reserves_for_dearer
    assert (shown.low, shown.high) == (Money.from_decimal("1.00"), Money.from_decimal("30.00"))
    assert shown.contract_id == "con_1"
    assert [each.sku for each in shown.unfit] == ["t4"]
    chosen = read_quote(quote(CHEAP, FAST), max_cost=None, finish_by=None, chosen="rtx-3090")
    assert chosen.reserved == Money.from_decimal("30.00")
    assert not chosen.reserves_for_dearer


def test_the_price_on_top_is_of_the_cheapest_type_wherever_it_stands_until_another_is_chosen() -> None:
    slow = gpu_type("cpu", 80_000, "156.00", 1)
    shown = read_quote(quote(slow, FAST, CHEAP), max_cost=None, finish_by=None)
    assert (shown.main.sku, shown.high) == ("rtx-3090", Money.from_decimal("30.00"))
    assert read_quote(quote(slow, FAST, CHEAP), max_cost=None, finish_by=None, chosen="cpu").main.sku == "cpu"


def test_a_budget_cap_below_the_price_is_what_is_reserved() -> None:
    shown = read_quote(quote(CHEAP), max_cost=Money.from_decimal("12.50"), finish_by=None)
    assert shown.reserved == Money.from_decimal("12.50")
    assert not shown.reserves_for_dearer
    assert shown.is_capped
    assert not read_quote(quote(CHEAP), max_cost=Money.from_decimal("99"), finish_by=None).is_capped


def test_cheapest_fastest_and_in_time_are_named_once_each() -> None:
    deadline = NOW + timedelta(minutes=75)
    shown = read_quote(quote(CHEAP, MIDDLE, FAST), max_cost=None, finish_by=deadline)
    assert [(each.offer.sku, each.reasons) for each in shown.named] == [
        ("rtx-3090", ("Cheapest",)),
        ("h200", ("Fastest",)),
        ("rtx-4090", ("By the deadline",)),
    ]
    only = read_quote(quote(FAST), max_cost=None, finish_by=deadline)
    assert [each.reasons for each in only.named] == [("Cheapest", "Fastest", "By the deadline")]


def test_a_deadline_that_nothing_keeps_is_said_and_an_unknown_start_is_no_nought() -> None:
    shown = read_quote(quote(CHEAP, FAST), max_cost=None, finish_by=NOW + timedelta(minutes=2))
    assert shown.misses_deadline
    unknown = read_quote(quote(gpu_type("cpu", 60, "1.00", None)), max_cost=None, finish_by=NOW)
    assert unknown.main.wait(NOW) is None
    assert not unknown.misses_deadline

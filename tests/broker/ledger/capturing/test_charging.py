"""Usage is divided in the order in which it happened; how it comes in batches decides nothing."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.ledger.capturing.charging import Charging, Supply
from broker.ledger.rating.charge_limit import Bound, ChargeLimits, MonthBudget, Promise, RateSegment
from pricing.money import Money
from pricing.usage import Unit, Usage

GRANTED = RateSegment(Unit.GPU_SECONDS, Decimal("5.2"), False, "2026-11")
BEYOND = RateSegment(Unit.GPU_SECONDS, Decimal("6.8"), True, "2026-11")
TEXT = RateSegment(Unit.TOKENS, Decimal("0.00012"), True, "2026-11")
ENDLESS = 10**12

USAGES = st.lists(st.builds(Usage, st.integers(0, 90), st.integers(0, 4000)), min_size=1, max_size=14)
SUMS = st.one_of(st.none(), st.integers(0, 8 * 10**6).map(Money))
PROMISES = st.builds(Promise, SUMS, st.one_of(st.none(), st.integers(0, 500)), SUMS)


def supply(granted: int = 0, beyond: int = ENDLESS, tokens: int = ENDLESS) -> Supply:
    return Supply({Unit.GPU_SECONDS: ((GRANTED, granted), (BEYOND, beyond)), Unit.TOKENS: ((TEXT, tokens),)})


def charge_in_batches(
    limits: ChargeLimits, usages: list[Usage], cuts: list[int], granted: int, beyond: int
) -> dict[RateSegment, int]:
    charging = Charging(limits)
    for start, end in pairwise([0, *sorted(cuts), len(usages)]):
        used = sum(count for each, count in charging.added.items() if each.unit == Unit.GPU_SECONDS)
        left = supply(max(0, granted - used), beyond - max(0, used - granted))
        charging.divide(left, usages[start:end])
    return {segment: count for segment, count in charging.added.items() if count}


@given(PROMISES, SUMS, USAGES, st.data(), st.integers(0, 600), st.sampled_from([0, ENDLESS]))
def test_other_batches_charge_the_same_units(
    promise: Promise, budget: Money | None, usages: list[Usage], data: st.DataObject, granted: int, beyond: int
) -> None:
    month = None if budget is None else MonthBudget(budget, budget.micros)
    limits = ChargeLimits(promise, budget=month)
    cuts = data.draw(st.lists(st.integers(0, len(usages)), max_size=5))
    together = charge_in_batches(limits, usages, [], granted, beyond)
    assert charge_in_batches(limits, usages, cuts, granted, beyond) == together
    assert charge_in_batches(limits, usages, list(range(len(usages))), granted, beyond) == together


@given(PROMISES, USAGES, st.integers(0, 600), st.sampled_from([0, ENDLESS]))
def test_charge_stops_at_the_last_unit_that_keeps_every_promise(
    promise: Promise, usages: list[Usage], granted: int, beyond: int
) -> None:
    charging = Charging(ChargeLimits(promise))
    whole = sum(usages, Usage())
    charged = charging.divide(supply(granted, beyond), usages)
    assert charging.limits.find_bound(charging.added) is None
    assert charged.gpu_seconds <= min(whole.gpu_seconds, granted + beyond)
    if charged.tokens < whole.tokens:
        assert charging.limits.find_bound({**charging.added, TEXT: charging.added.get(TEXT, 0) + 1}) is not None
    if charged.gpu_seconds < min(whole.gpu_seconds, granted + beyond):
        next_segment = GRANTED if charged.gpu_seconds < granted else BEYOND
        more = {**charging.added, next_segment: charging.added.get(next_segment, 0) + 1}
        assert charging.limits.find_bound(more) is not None


def test_supply_pays_in_its_order_and_ends_where_it_ends() -> None:
    charging = Charging(ChargeLimits())
    assert charging.divide(supply(granted=50, beyond=20), [Usage(100, 7)]) == Usage(70, 7)
    assert charging.added == {GRANTED: 50, BEYOND: 20, TEXT: 7}


def test_nothing_to_charge_to_leaves_everything_to_the_house() -> None:
    empty = Supply({Unit.GPU_SECONDS: (), Unit.TOKENS: ()})
    assert Charging(ChargeLimits()).divide(empty, [Usage(5, 5)]) == Usage()


def test_usage_is_charged_in_the_order_in_which_it_happened() -> None:
    """All GPU-seconds first left the tokens of the first interval to the house, and so did no other batch."""
    charging = Charging(ChargeLimits(Promise(limit=Money.from_decimal("1.00"))))
    assert charging.divide(supply(), [Usage(60, 3000)] * 60) == Usage(120 + 28, 6000 + 3)


@pytest.mark.parametrize(
    ("promise", "bound"),
    [(Promise(), None), (Promise(cap=Money(0)), Bound.CAP), (Promise(limit=Money(0), cap=Money(5)), Bound.CAP)],
)
def test_next_bound_is_that_of_the_next_unit(promise: Promise, bound: Bound | None) -> None:
    assert Charging(ChargeLimits(promise)).find_next_bound(supply()) == bound


def test_each_interval_draws_on_what_those_before_it_left() -> None:
    """A promise that ends the charge makes each interval be asked by itself."""
    charging = Charging(ChargeLimits(Promise(limit_gpu_seconds=65)))
    assert charging.divide(supply(granted=50, beyond=20), [Usage(40, 1), Usage(40, 1)]) == Usage(65, 2)
    assert charging.added == {GRANTED: 50, BEYOND: 15, TEXT: 2}


def test_supply_may_name_a_segment_twice() -> None:
    """Two grants at one price are one segment of the invoice."""
    twice = Supply({Unit.GPU_SECONDS: ((GRANTED, 5), (GRANTED, 5)), Unit.TOKENS: ()})
    charging = Charging(ChargeLimits())
    assert charging.divide(twice, [Usage(8)]) == Usage(8)
    assert charging.added == {GRANTED: 8}


def test_next_bound_asks_for_one_unit_and_no_more() -> None:
    limits = ChargeLimits(Promise(limit_gpu_seconds=1))
    assert Charging(limits).find_next_bound(supply(granted=1)) is None
    assert Charging(limits, {GRANTED: 1}).find_next_bound(supply(granted=1)) == Bound.LIMIT


def test_next_bound_asks_of_what_pays_first() -> None:
    """Hours that an advance has paid cost the budget nothing, whatever comes after them."""
    limits = ChargeLimits(budget=MonthBudget(Money(0), 0))
    hours = supply(granted=1).units[Unit.GPU_SECONDS]
    only_hours = Supply({Unit.GPU_SECONDS: hours, Unit.TOKENS: ()})
    assert Charging(limits).find_next_bound(only_hours) is None
    assert Charging(limits).find_next_bound(Supply({Unit.GPU_SECONDS: hours[1:], Unit.TOKENS: ()})) == Bound.BUDGET

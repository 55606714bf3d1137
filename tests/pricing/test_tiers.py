"""Tiers: a month's usage rated against a slow, unit-by-unit reading of the card, in exact fractions."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.money import Money
from pricing.rating import price_usage
from pricing.tier_terms import TierMode, Tiers, TierStep, find_tier_problems
from pricing.tiers import TieredUsage, TierSchedule, return_settlement, settle_tiers
from pricing.usage import Unit
from tests.properties import examples

GPU, TOKENS = Unit.GPU_SECONDS, Unit.TOKENS
HOUR = 3600


def make_schedule(mode, *steps, meter=GPU, base="6.8"):
    tiers = Tiers(mode=mode, steps=tuple(TierStep(above=above, price=price) for above, price in steps))
    return TierSchedule(meter, Decimal(base), tiers)


GRADUATED = make_schedule("graduated", (100, "6.0"), (500, "5.5"))
VOLUME = make_schedule("volume", (100, "6.0"), (500, "5.5"))


def test_graduated_tiers_price_each_hour_by_the_tier_that_it_falls_into():
    assert GRADUATED.rate(100 * HOUR) == 680
    assert GRADUATED.rate(600 * HOUR) == 100 * Fraction("6.8") + 400 * 6 + 100 * Fraction("5.5")


def test_volume_tiers_price_all_hours_by_the_tier_that_the_month_reaches():
    assert VOLUME.rate(100 * HOUR) == 680
    assert VOLUME.rate(100 * HOUR + 1) == Fraction(100 * HOUR + 1, HOUR) * 6
    assert VOLUME.rate(600 * HOUR) == 3300


@st.composite
def schedules(draw, modes=tuple(TierMode)):
    """Draw a schedule of a few small tiers, whose prices fall."""
    mode, meter = draw(st.sampled_from(modes)), draw(st.sampled_from([GPU, TOKENS]))
    count = 0 if mode == TierMode.FLAT else draw(st.integers(1, 3))
    bounds = sorted(draw(st.sets(st.integers(1, 12), min_size=count, max_size=count)))
    prices = sorted(draw(st.sets(st.integers(0, 9_999_999), min_size=count + 1, max_size=count + 1)), reverse=True)
    base, *others = (Decimal(price).scaleb(-6) for price in prices)
    steps = tuple(TierStep(above=bound, price=price) for bound, price in zip(bounds, others, strict=True))
    return TierSchedule(meter, base, Tiers(mode=mode, steps=steps))


units = st.integers(0, 15 * HOUR)
graduated, volume = schedules([TierMode.GRADUATED]), schedules([TierMode.VOLUME])


def read_price(schedule, units_before):
    """Find what one unit costs after so many others, by walking the steps."""
    priced = 3600 if schedule.meter == GPU else 1
    price = schedule.base
    for step in schedule.tiers.steps:
        if units_before >= step.above * priced:
            price = step.price
    return Fraction(price) / priced


@given(graduated, st.integers(0, 15))
def test_graduated_rating_is_the_sum_of_every_units_own_price(schedule, hours):
    block = 900 if schedule.meter == GPU else 1  # no tier begins within one
    total = sum((read_price(schedule, at * block) * block for at in range(hours)), Fraction(0))
    assert schedule.rate(hours * block) == total


@given(graduated, units, units)
def test_graduated_rating_is_monotone_and_has_no_cliff(schedule, quantity, more):
    step = schedule.rate(quantity + more) - schedule.rate(quantity)
    assert 0 <= step <= price_usage(schedule.meter, more, schedule.base)


@given(volume, units)
def test_volume_rating_is_all_at_one_price_and_never_above_graduated(schedule, quantity):
    last = read_price(schedule, max(0, quantity - 1))
    assert schedule.rate(quantity) == quantity * last
    stepped = TierSchedule(schedule.meter, schedule.base, Tiers(mode="graduated", steps=schedule.tiers.steps))
    assert schedule.rate(quantity) <= stepped.rate(quantity)


@given(schedules([TierMode.FLAT]), units)
def test_flat_is_one_tier_and_settles_nothing(schedule, quantity):
    assert schedule.rate(quantity) == price_usage(schedule.meter, quantity, schedule.base)
    assert settle_tiers([TieredUsage(schedule.meter, quantity, schedule.base, schedule)]) == Money(0)


parts = st.lists(st.integers(0, 4 * HOUR), min_size=1, max_size=6)


@given(schedules(), parts)
def test_a_period_costs_what_its_parts_were_charged_and_the_settlement_together(schedule, quantities):
    """Before rounding: the settlement is the one difference, rounded once."""
    charged = sum((price_usage(schedule.meter, each, schedule.base) for each in quantities), Fraction(0))
    month = sum(quantities)
    exact = schedule.rate(month) - charged
    assert charged * schedule.compute_share(month) == schedule.rate(month)
    whole = settle_tiers([TieredUsage(schedule.meter, month, schedule.base, schedule)])
    assert abs(Fraction(whole.to_decimal()) - exact) <= Fraction(1, 200) + Fraction(1, 100)
    assert whole.micros <= 0


def use(schedule, quantity, multiplier=1):
    return TieredUsage(schedule.meter, quantity, schedule.base * Decimal(multiplier), schedule)


@examples(50)
@given(schedules(), st.lists(st.tuples(st.integers(0, 4 * HOUR), st.sampled_from(["1", "0.75", "2.5"]))), st.data())
def test_no_order_and_no_splitting_of_usage_changes_what_is_settled_before_rounding(schedule, uses, data):
    def settle_exactly(quantities):
        month = sum(quantity for quantity, _multiplier in quantities)
        rest = schedule.compute_share(month) - 1
        return sum((rest * use(schedule, *each).charged for each in quantities), Fraction(0))

    shuffled = data.draw(st.permutations(uses))
    halves = [part for quantity, times in shuffled for part in ((quantity // 2, times), (-(-quantity // 2), times))]
    assert settle_exactly(uses) == settle_exactly(shuffled) == settle_exactly(halves)
    assert settle_tiers([use(schedule, *each) for each in uses]) == settle_tiers(
        [use(schedule, *each) for each in shuffled]
    )


def test_an_hour_of_a_dearer_type_falls_by_the_same_share():
    usages = [use(GRADUATED, 100 * HOUR), use(GRADUATED, 100 * HOUR, "2.5")]
    share = Fraction(680 + 600, 1360)
    assert Fraction(settle_tiers(usages).to_decimal()) == (share - 1) * (680 + 1700)


def test_usage_by_a_card_without_tiers_counts_and_is_not_settled():
    plain = TieredUsage(GPU, 100 * HOUR, Decimal("3.4"), None)
    assert settle_tiers([plain, use(GRADUATED, 100 * HOUR)]) == Money.from_decimal("-40.00")
    assert settle_tiers([plain]) == Money(0)


def test_two_versions_of_one_card_settle_as_one():
    again = make_schedule("graduated", (100, "6.0"), (500, "5.5"))
    halves = [use(GRADUATED, 300 * HOUR), use(again, 300 * HOUR)]
    assert settle_tiers(halves) == settle_tiers([use(GRADUATED, 600 * HOUR)]) == Money.from_decimal("-450.00")


def test_no_more_is_taken_off_than_the_charges_come_to_on_an_invoice():
    """Three charges of 0.004 yuan are three lines of 0.00: taking off 0.01 would leave the month below zero."""
    free = make_schedule("volume", (1, "0"), meter=TOKENS, base="0.000001")
    usages = [TieredUsage(TOKENS, 4000, Decimal("0.000001") * times, free) for times in (1, 1, 1)]
    assert settle_tiers(usages) == Money(0)


@given(schedules(), parts, st.data())
def test_what_is_taken_back_later_comes_to_what_it_had_cost(schedule, quantities, data):
    """With its own part of the settlement: so that the whole month taken back leaves nothing but a rounding."""
    month = sum(quantities)
    returned = return_settlement([use(schedule, each) for each in quantities], month)
    settled = settle_tiers([use(schedule, each) for each in quantities])
    assert Money(0) <= settled + returned <= Money(10_000)
    part = data.draw(st.integers(0, month))
    kept = return_settlement([use(schedule, part)], month)
    assert abs(
        Fraction(kept.to_decimal()) - (1 - schedule.compute_share(month)) * use(schedule, part).charged
    ) <= Fraction(1, 200)


def test_no_usage_and_a_free_first_tier_cost_their_whole_price():
    free = make_schedule("graduated", meter=TOKENS, base="0")
    assert GRADUATED.compute_share(0) == VOLUME.compute_share(0) == free.compute_share(9) == 1


def test_a_settlement_is_in_the_currency_that_it_is_asked_for():
    usages = [use(VOLUME, 200 * HOUR)]
    assert settle_tiers(usages, "USD") == Money.from_decimal("-160", "USD")
    assert return_settlement(usages, 200 * HOUR, "USD") == Money.from_decimal("160", "USD")


CURE = "a settlement at the month's close takes something off, and never raises what was promised"


@pytest.mark.parametrize(
    ("mode", "steps", "problems"),
    [
        ("graduated", [(1, "6")], []),
        ("flat", [], []),
        ("flat", [(1, "6")], ["steps: flat has one tier: leave them out, or choose graduated or volume"]),
        ("volume", [], ["steps: volume needs at least one step; one price alone is flat"]),
        (
            "volume",
            [(2, "6"), (2, "5")],
            ["steps.1.above: must be more than 2, where the tier before it begins"],
        ),
        (
            "graduated",
            [(2, "6.8")],
            [f"steps.0.price: must be below 6.8, the price of the tier before it: {CURE}"],
        ),
    ],
)
def test_what_is_wrong_with_tiers_is_told_with_its_cure(mode, steps, problems):
    schedule = make_schedule(mode, *steps)
    found = find_tier_problems(schedule.tiers, schedule.base)
    assert [f"{problem.field}: {problem.message}" for problem in found] == problems

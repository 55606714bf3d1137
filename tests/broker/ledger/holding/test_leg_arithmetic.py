"""The arithmetic of legs, by examples that can be counted by hand."""

from decimal import Decimal

from broker.ledger.books.model import (
    LegDraw,
    LegState,
    compute_captured_micros,
    compute_hold_micros,
    compute_money_needed,
    plan_capture,
)
from pricing.usage import Unit

HOUR = 3600


def leg(
    unit: Unit = Unit.GPU_SECONDS,
    held: int = HOUR,
    captured: int = 0,
    released: int = 0,
    *,
    price: str | None = "6.8",
    billable: bool = True,
    month: str | None = None,
    borne: bool = False,
    grant_id: str | None = None,
) -> LegState:
    unit_price = None if price is None else Decimal(price)
    return LegState(unit, unit_price, billable, held, captured, released, month, borne, grant_id)


def money(held: int, captured: int = 0, *, month: str = "2026-11", borne: bool = False) -> LegState:
    return leg(Unit.MICRO_YUAN, held, captured, price=None, billable=False, month=month, borne=borne)


def test_capture_draws_on_the_legs_of_its_unit_in_their_order() -> None:
    legs = [leg(held=10), leg(Unit.TOKENS, 99), leg(held=20, captured=5, released=7), leg(held=30)]
    assert plan_capture(legs, Unit.GPU_SECONDS, 25) == ([LegDraw(0, 10), LegDraw(2, 8), LegDraw(3, 7)], 0)
    assert plan_capture(legs, Unit.TOKENS, 25) == ([LegDraw(1, 25)], 0)


def test_capture_tells_what_no_leg_could_give() -> None:
    assert plan_capture([leg(held=10), leg(held=5, captured=5)], Unit.GPU_SECONDS, 12) == ([LegDraw(0, 10)], 2)
    assert plan_capture([], Unit.TOKENS, 3) == ([], 3)
    assert plan_capture([leg(held=10)], Unit.GPU_SECONDS, 0) == ([], 0)
    assert plan_capture([leg(held=1), leg(held=1)], Unit.GPU_SECONDS, 2) == ([LegDraw(0, 1), LegDraw(1, 1)], 0)


def test_money_comes_from_its_own_month_and_what_is_borne_from_its_own_legs() -> None:
    legs = [money(5, month="2026-10"), money(7), money(9, borne=True), leg(held=4, borne=True)]
    assert plan_capture(legs, Unit.MICRO_YUAN, 8, month="2026-11") == ([LegDraw(1, 7)], 1)
    assert plan_capture(legs, Unit.MICRO_YUAN, 8, month="2026-11", borne=True) == ([LegDraw(2, 8)], 0)
    assert plan_capture(legs, Unit.GPU_SECONDS, 3, borne=True) == ([LegDraw(3, 3)], 0)
    assert plan_capture(legs, Unit.GPU_SECONDS, 3) == ([], 3)


def test_what_is_held_at_another_price_outside_grants_is_passed_over() -> None:
    """A card has changed, or the run has another GPU type than was quoted; a grant keeps the price it was bought at."""
    legs = [leg(held=5, price="5.1"), leg(held=6, price="5.2", grant_id="gra_1"), leg(held=7)]
    now = Decimal("6.8")
    assert plan_capture(legs, Unit.GPU_SECONDS, 99, price=now) == ([LegDraw(1, 6), LegDraw(2, 7)], 86)
    assert plan_capture(legs, Unit.GPU_SECONDS, 11) == ([LegDraw(1, 6), LegDraw(0, 5)], 0)  # of grants first
    assert plan_capture(legs, Unit.GPU_SECONDS, 9, price=now, closed={"gra_1"}) == ([LegDraw(2, 7)], 2)
    borne = [leg(held=5, price="5.1", borne=True)]
    assert plan_capture(borne, Unit.GPU_SECONDS, 5, borne=True, price=now) == ([LegDraw(0, 5)], 0)


def test_captured_price_is_rounded_once_over_all_legs() -> None:
    """A third of a micro-yuan each, three times, is one and not none."""
    thirds = [leg(captured=1, price="0.0012")] * 3
    assert compute_captured_micros(thirds) == 1
    assert compute_captured_micros(thirds[:1]) == 0


def test_captured_price_counts_the_customers_legs_or_the_borne_ones() -> None:
    own = leg(captured=HOUR)
    paid_ahead = leg(captured=HOUR, price="5.2", billable=False)
    borne = leg(captured=HOUR, price="4.0", billable=False, borne=True)
    legs = [own, paid_ahead, borne, money(99, 99)]
    assert compute_captured_micros(legs) == 12_000_000
    assert compute_captured_micros(legs, billable_only=True) == 6_800_000
    assert compute_captured_micros(legs, borne=True) == 4_000_000


def test_money_of_a_hold_suffices_for_what_it_bills() -> None:
    legs = [leg(held=1, price="0.0012"), leg(held=HOUR, captured=HOUR, price="5.2", billable=False), money(99)]
    assert compute_hold_micros(legs) == 1, "a third of a micro-yuan, rounded up; the advance is paid"
    assert compute_hold_micros([leg(held=HOUR), leg(Unit.TOKENS, 100, price="0.00012")]) == 6_812_000


def test_money_needed_is_what_is_open_and_captured_less_what_was_captured_in_money() -> None:
    hours = leg(held=3 * HOUR, captured=HOUR, released=HOUR)
    paid_ahead = leg(held=HOUR, captured=HOUR, price="5.2", billable=False)
    legs = [hours, paid_ahead, money(9_000_000, 6_800_000), money(5, 5, borne=True)]
    assert compute_money_needed(legs) == 6_800_000
    assert compute_money_needed([leg(held=1, price="0.0012")]) == 1

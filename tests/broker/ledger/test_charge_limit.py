"""Where a charge ends: never above its limit, neither exactly nor on its invoices, and at the last unit below it."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from broker.ledger.charge_limit import BilledLine, add_usage, count_affordable
from pricing.money import Money, round_to_fen
from pricing.usage import Unit

PRICES = {Unit.GPU_SECONDS: ("6.8", "5.2", "4.0"), Unit.TOKENS: ("0.00012", "0.00009", "0.00006")}
PER_HOUR = {Unit.GPU_SECONDS: 3600, Unit.TOKENS: 1}


@st.composite
def lines(draw: st.DrawFn) -> BilledLine:
    unit = draw(st.sampled_from(list(PRICES)))
    price = Decimal(draw(st.sampled_from(PRICES[unit])))
    return BilledLine(unit, price, draw(st.booleans()), draw(st.sampled_from(["2026-11", "2026-12"])))


QUANTITIES = st.one_of(st.integers(0, 20), st.integers(0, 100_000))
PAID = st.dictionaries(lines(), QUANTITIES, max_size=4)
USAGE = st.lists(st.tuples(lines(), QUANTITIES), max_size=4)


def charge(paid: dict[BilledLine, int]) -> tuple[Fraction, Money]:
    """Compute the exact price in yuan, and the sum of the invoice lines."""
    prices = [Fraction(line.unit_price) * count / PER_HOUR[line.unit] for line, count in paid.items()]
    return sum(prices, Fraction(0)), sum((round_to_fen(price) for price in prices), Money.zero())


@given(PAID, USAGE, st.integers(0, 300 * 10**6))
def test_charge_never_exceeds_the_charge_limit_and_stops_at_the_last_unit_below_it(
    paid: dict[BilledLine, int], usage: list[tuple[BilledLine, int]], micros: int
) -> None:
    charge_limit, total = Money(micros), sum(quantity for _line, quantity in usage)
    count = count_affordable(paid, usage, charge_limit)
    assert 0 <= count <= total
    if count:
        exact, invoiced = charge(add_usage(paid, usage, count))
        assert exact * 10**6 <= micros
        assert invoiced <= charge_limit
    if count < total:
        exact, invoiced = charge(add_usage(paid, usage, count + 1))
        assert exact * 10**6 > micros or invoiced > charge_limit


def test_two_lines_that_both_round_up_stay_below_the_charge_limit() -> None:
    """Each at half a fen: half-even rounds 0.015 up twice, which made 0.04 of 0.03."""
    line = BilledLine(Unit.TOKENS, Decimal("0.00012"), True, "2026-11")
    other = BilledLine(Unit.TOKENS, Decimal("0.00012"), True, "2026-12")
    assert count_affordable({line: 125}, [(other, 125)], Money.from_decimal("0.03")) == 124


def test_units_are_taken_in_their_order() -> None:
    dear = BilledLine(Unit.GPU_SECONDS, Decimal("6.8"), True, "2026-11")
    cheap = BilledLine(Unit.GPU_SECONDS, Decimal("4.0"), True, "2026-11")
    assert add_usage({cheap: 1}, [(dear, 5), (cheap, 5)], 7) == {dear: 5, cheap: 3}
    assert count_affordable({}, [(cheap, 3600), (dear, 3600)], Money.from_decimal("7.40")) == 3600 + 1800

"""A rate segment is rounded once; its lines add up to it, and none is lifted above what was promised for it."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.money import Money, round_to_fen
from pricing.rounding import ExactLine, InvoicedLine, round_segment, share_amount, share_taken_back

FEN = 10_000
# Prices of tokens and GPU-seconds, ties at half a fen, and whole fen.
EXACTS = st.one_of(
    st.builds(lambda tokens: tokens * Fraction("0.00009"), st.integers(0, 2000)),
    st.builds(lambda seconds: seconds * Fraction("6.8") / 3600, st.integers(0, 5000)),
    st.builds(lambda halves: Fraction(halves, 200), st.integers(0, 9)),
)
OTHERS = st.lists(st.builds(ExactLine, EXACTS), max_size=12)
LEADING = st.lists(st.builds(ExactLine, EXACTS, st.just(True)), max_size=1)


def total(amounts: list[Money]) -> Money:
    return sum(amounts, Money.zero())


@given(LEADING, OTHERS)
def test_lines_add_up_to_the_sum_rounded_once(leading: list[ExactLine], others: list[ExactLine]) -> None:
    lines = leading + others
    assert total(round_segment(lines)) == round_to_fen(sum((line.exact for line in lines), Fraction(0)))


@given(LEADING, OTHERS)
def test_each_line_is_within_a_fen_of_its_exact_amount_and_never_above_its_most(
    leading: list[ExactLine], others: list[ExactLine]
) -> None:
    lines = leading + others
    for line, amount in zip(lines, round_segment(lines), strict=True):
        assert abs(Fraction(amount.to_decimal()) - line.exact) < Fraction(1, 100)
        assert amount <= line.most


@given(OTHERS, st.randoms(use_true_random=False))
def test_order_of_the_lines_decides_nothing_but_ties(lines: list[ExactLine], cuts) -> None:
    mixed = list(range(len(lines)))
    cuts.shuffle(mixed)
    straight, shuffled = round_segment(lines), round_segment([lines[place] for place in mixed])
    assert lifts(lines, straight) == lifts([lines[place] for place in mixed], shuffled)


def lifts(lines: list[ExactLine], amounts: list[Money]) -> list[tuple[Fraction, bool]]:
    """List what each line has beyond its whole fen, and whether it was lifted for it."""
    pairs = zip(lines, amounts, strict=True)
    return sorted((line.exact * 100 % 1, amount.to_decimal() > line.exact) for line, amount in pairs)


@given(LEADING)
def test_a_single_line_is_rounded_half_even_as_ever(leading: list[ExactLine]) -> None:
    assert round_segment(leading) == [round_to_fen(line.exact) for line in leading]


def test_forty_jobs_of_57_tokens_are_invoiced_as_their_sum() -> None:
    """Rounded one by one they came to 0.40 of 0.2052."""
    amounts = round_segment([ExactLine(57 * Fraction("0.00009"))] * 40)
    assert total(amounts).format_amount() == "0.21"
    assert [amount.micros for amount in amounts] == [FEN] * 21 + [0] * 19, "of equal ones the first are lifted"


@pytest.mark.parametrize(
    ("exact", "leads", "most"),
    [
        ("0.0149", False, "0.02"),
        ("0.0149", True, "0.01"),
        ("0.015", True, "0.02"),
        ("0.01", False, "0.01"),
        ("0.01", True, "0.01"),
        ("1/3", False, "0.34"),
        ("0", False, "0.00"),
    ],
)
def test_leading_line_is_lifted_from_half_a_fen_on(exact: str, leads: bool, most: str) -> None:
    assert ExactLine(Fraction(exact), leads).most.format_amount() == most


def test_fen_goes_past_a_leading_line_that_has_its_most() -> None:
    lines = [ExactLine(Fraction("0.0045"), leads=True), ExactLine(Fraction("0.003"))]
    assert [amount.format_amount() for amount in round_segment(lines)] == ["0.00", "0.01"]


def test_largest_remainders_are_lifted_wherever_they_stand() -> None:
    lines = [ExactLine(Fraction(exact)) for exact in ("0.013", "0.017", "0.014", "0.016")]
    assert [amount.format_amount() for amount in round_segment(lines)] == ["0.01", "0.02", "0.01", "0.02"]


def test_lines_are_in_the_currency_of_their_segment() -> None:
    assert round_segment([ExactLine(Fraction("1.5"))], "USD") == [Money(1_500_000, "USD")]


def test_no_lines_come_to_nothing() -> None:
    assert round_segment([]) == []


LINES = st.builds(
    lambda quantity, exact, lifted: InvoicedLine(quantity, Money(max(0, int(exact * 100) + lifted) * FEN)),
    st.integers(1, 5000),
    EXACTS,
    st.integers(0, 1),
)


@given(LINES, st.data())
def test_all_units_of_a_line_bring_back_what_was_charged_in_however_many_parts(
    line: InvoicedLine, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, line.quantity), max_size=4)))
    parts = [end - start for start, end in pairwise([0, *cuts, line.quantity])]
    came_back, taken = Money.zero(), 0
    for part in parts:
        share = share_taken_back(replace(line, taken_back=taken), part)
        assert share >= Money.zero()
        assert share.micros % FEN == 0
        came_back, taken = came_back + share, taken + part
        assert abs(came_back.micros * line.quantity - line.amount.micros * taken) * 2 <= FEN * line.quantity
    assert came_back == line.amount


@pytest.mark.parametrize(
    ("line", "quantity", "share"),
    [
        (InvoicedLine(100, Money(1000 * FEN)), 25, 250),
        (InvoicedLine(3, Money(1 * FEN)), 1, 0),
        (InvoicedLine(3, Money(1 * FEN)), 2, 1),
        (InvoicedLine(3, Money(1 * FEN), taken_back=1), 1, 1),
        (InvoicedLine(3, Money(1 * FEN), taken_back=2), 1, 0),
        (InvoicedLine(2, Money(1 * FEN)), 1, 0),
        (InvoicedLine(2, Money(3 * FEN)), 1, 2),
        (InvoicedLine(57, Money(0)), 57, 0),
        (InvoicedLine(57, Money(FEN)), 0, 0),
        (InvoicedLine(57, Money(FEN), taken_back=57), 0, 0),
        (InvoicedLine(100, Money(1000 * FEN), credited=Money(750 * FEN)), 25, 250),
        (InvoicedLine(100, Money(1000 * FEN), credited=Money(751 * FEN)), 25, 249),
        (InvoicedLine(100, Money(1000 * FEN), 25, Money(700 * FEN)), 10, 50),
        (InvoicedLine(100, Money(1000 * FEN), 25, Money(750 * FEN)), 75, 0),
        (InvoicedLine(100, Money(1000 * FEN), 25, Money(1001 * FEN)), 75, 0),
    ],
)
def test_what_comes_back_is_a_share_of_the_line_as_it_was_rounded(
    line: InvoicedLine, quantity: int, share: int
) -> None:
    assert share_taken_back(line, quantity) == Money(share * FEN)


def test_share_is_in_the_line_s_currency() -> None:
    line = InvoicedLine(4, Money(100 * FEN, "USD"))
    assert share_taken_back(line, 1) == Money(25 * FEN, "USD")


@pytest.mark.parametrize(("taken_back", "quantity"), [(0, 101), (60, 41), (0, -1)])
def test_more_units_than_a_line_has_do_not_come_back(taken_back: int, quantity: int) -> None:
    with pytest.raises(ValueError, match=f"{quantity} units cannot come back of {100 - taken_back}"):
        share_taken_back(InvoicedLine(100, Money(FEN), taken_back), quantity)


@given(st.lists(EXACTS, min_size=1, max_size=6), st.booleans())
def test_an_amount_is_shared_so_that_its_parts_add_up_to_it(exact: list[Fraction], lifted: bool) -> None:
    fen, rest = divmod(sum(exact) * 100, 1)
    amount = Money((fen + (lifted and rest > 0)) * FEN)
    shares = share_amount(amount, exact)
    assert total(shares) == amount
    assert all(
        abs(Fraction(share.to_decimal()) - each) < Fraction(1, 100) for share, each in zip(shares, exact, strict=True)
    )


def test_of_equal_parts_the_first_is_lifted() -> None:
    halves = [Fraction(1, 200)] * 2
    assert share_amount(Money(FEN), halves) == [Money(FEN), Money(0)]
    assert share_amount(Money(FEN, "USD"), [Fraction(1, 300), Fraction(2, 300)]) == [Money(0, "USD"), Money(FEN, "USD")]

"""Bars as numbers of an SVG."""

from fractions import Fraction

import pytest

from broker.console.frame.charts import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, count_parts, place_bars, round_up


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (1, 1), (3, 4), (7, 8), (9, 10), (11, 20), (999, 1000), (Fraction(3, 100), Fraction(4, 100))],
)
def test_a_scale_ends_at_the_next_round_number(value: int | Fraction, top: int | Fraction) -> None:
    assert round_up(value) == top


def test_bars_stand_on_the_ground_within_the_picture() -> None:
    bars = place_bars([("1", 0), ("2", 4), ("3", 2)], str)
    ground = HEIGHT - BOTTOM
    assert [bar.y + bar.height for bar in bars.bars] == pytest.approx([ground] * 3)
    assert [bar.height for bar in bars.bars] == pytest.approx([0, ground - TOP, (ground - TOP) / 2])
    assert all(LEFT <= bar.x <= bar.x + bar.width <= WIDTH for bar in bars.bars)
    assert [line.label for line in bars.lines] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("top", "parts"),
    [(1, 5), (2, 4), (4, 4), (5, 5), (8, 4), (50, 5), (20, 4), (Fraction(1, 20), 5), (Fraction(1, 50), 4)],
)
def test_each_gridline_stands_at_a_round_number(top: int | Fraction, parts: int) -> None:
    assert count_parts(Fraction(top)) == parts


def test_only_some_of_many_bars_are_labelled_and_all_are_told() -> None:
    bars = place_bars([(str(day), day) for day in range(30)], str).bars
    assert sum(bar.shows_label for bar in bars) == 10
    assert bars[29].told == "29"


def test_no_bars_are_an_empty_picture() -> None:
    assert place_bars([], str).bars == []

"""A loss curve as an SVG and as CSV: what was told is drawn, a spike is in its band, nothing told is nothing drawn."""

from datetime import UTC, datetime

import pytest

from broker.console.customer.loss_chart import (
    HEIGHT,
    LEFT,
    TOP,
    draw_losses,
    draw_together,
    list_rows,
    smooth,
    write_csv,
)
from broker.jobs.reading.loss_curve import CurveMark, LossBucket, LossCurve, ValidationLoss

CURVE = LossCurve(
    training=[LossBucket(10, 2.0, 1.9, 2.2), LossBucket(20, 1.5, 1.0, 9.0), LossBucket(30, 1.2, 1.1, 1.3)],
    validation=[ValidationLoss(20, 1.8), ValidationLoss(30, None)],
    marks=[
        CurveMark(20, "checkpoint_saved", datetime(2026, 11, 30, tzinfo=UTC)),
        CurveMark(None, "run_lost", datetime(2026, 11, 30, tzinfo=UTC)),
    ],
)


@pytest.mark.parametrize("is_log", [False, True])
def test_a_spike_reaches_the_top_of_the_band(is_log: bool) -> None:
    chart = draw_losses(CURVE, is_log=is_log)
    assert chart is not None
    assert min(float(point.split(",")[1]) for point in chart.band.split()) == TOP
    assert all(0 <= float(value) <= 800 for point in chart.band.split() for value in point.split(","))
    assert [(mark.step, mark.kind) for mark in chart.marks] == [(20, "checkpoint_saved")]
    assert len(chart.validation_dots) == 1
    assert chart.last_validation == 1.8


def test_nothing_told_is_nothing_drawn_and_a_flat_curve_is_drawn() -> None:
    assert draw_losses(LossCurve([], [], [])) is None
    assert draw_losses(LossCurve([], [ValidationLoss(3, None)], [])) is None
    flat = draw_losses(LossCurve([LossBucket(1, 0.0, 0.0, 0.0)], [], []), is_log=True)
    assert flat is not None
    assert flat.left == LEFT
    assert TOP <= float(flat.mean.split(",")[1]) <= HEIGHT


def test_a_step_that_was_validated_twice_has_its_last_loss_and_its_line_goes_forward() -> None:
    twice = [ValidationLoss(10, 2.0), ValidationLoss(20, 1.5), ValidationLoss(10, 1.9), ValidationLoss(20, 1.4)]
    chart = draw_losses(LossCurve([], twice, []))
    assert chart is not None
    places = [x for x, _y in chart.validation_dots]
    assert places == sorted(places)
    assert len(places) == 2
    assert chart.last_validation == 1.4


def test_smoothing_begins_at_the_first_value_and_stays_between_all() -> None:
    assert smooth([3.0, 3.0, 3.0]) == pytest.approx([3.0] * 3)
    assert smooth([4.0, 0.0])[1] == pytest.approx(1.5)


def test_the_csv_has_every_point_and_what_is_not_known_is_empty() -> None:
    lines = write_csv(CURVE).decode("utf-8-sig").split("\r\n")
    assert lines[0] == "step,mean,low,high,validation"
    assert lines[1:4] == ["10,2.0,1.9,2.2,", "20,1.5,1.0,9.0,1.8", "30,1.2,1.1,1.3,"]
    assert len(list_rows(CURVE, most=1)) == 3  # those with a validation stay


def test_a_pointer_over_the_chart_is_told_each_step_and_no_strip_overlaps() -> None:
    curve = LossCurve(
        [LossBucket(step, step / 10, step / 20, step / 5) for step in range(1, 51)], [ValidationLoss(50, 1.5)], [], 1
    )
    chart = draw_losses(curve)
    assert chart is not None
    assert [each.step for each in chart.readings] == list(range(1, 51))
    assert list(chart.readings[-1].values) == [5.0, 2.5, 10.0, 1.5]
    ends = [each.x + each.width for each in chart.readings]
    assert all(abs(end - after.x) < 0.2 for end, after in zip(ends, chart.readings[1:], strict=False))
    assert abs(ends[-1] - chart.right) < 0.2


def test_curves_that_are_compared_have_the_same_axes():
    short = LossCurve([LossBucket(10, 2.0, 2.0, 2.0)], [], [])
    long = LossCurve([LossBucket(10, 4.0, 4.0, 4.0), LossBucket(100, 1.0, 1.0, 1.0)], [], [])
    nothing, first, second = draw_together([LossCurve([], [], []), short, long])
    assert nothing is None
    assert first.x_ticks == second.x_ticks
    assert first.y_ticks == second.y_ticks
    alone = draw_losses(short)
    assert alone.x_ticks != first.x_ticks
    assert draw_together([]) == []

"""The bar of a wait has a part for each cause, and one row for what is unaccounted, whether or not there is any."""

from datetime import UTC, datetime, timedelta

from broker.console.ops.why_view import draw_wait, sum_wait
from broker.jobs.reading.wait_causes import Segment

CAME = datetime(2026, 11, 24, 10, tzinfo=UTC)


def segment(cause: str, begin: int, end: int) -> Segment:
    return Segment(cause, CAME + timedelta(minutes=begin), CAME + timedelta(minutes=end))


def test_parts_fill_the_bar_and_equal_causes_have_one_colour_and_one_row() -> None:
    bars = draw_wait([segment("quota", 0, 10), segment("no_open_pool", 10, 30), segment("quota", 30, 40)])
    assert [(bar.x, bar.width) for bar in bars] == [(0, 25), (25, 50), (75, 25)]
    assert bars[0].shade == bars[2].shade != bars[1].shade
    assert [(each.cause, each.seconds) for each in sum_wait(bars)] == [
        ("no_open_pool", 1200),
        ("quota", 1200),
        ("unaccounted", 0),
    ]


def test_nothing_is_drawn_of_a_job_that_did_not_wait() -> None:
    assert draw_wait([]) == []
    assert [each.seconds for each in sum_wait([])] == [0]

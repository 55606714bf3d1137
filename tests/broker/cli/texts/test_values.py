"""Values in words."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from broker.cli.output import clean, one_line
from broker.cli.texts.columns import Column, fold, make_table
from broker.cli.texts.job_words import PAUSES, STOPS, describe_cost, describe_limit, describe_why, list_next_commands
from broker.cli.texts.values import (
    describe_ago,
    describe_duration,
    describe_fen,
    describe_size,
    describe_wait,
)
from broker.jobs.rules.model import MAKES_WAY, StopReason
from tests.broker.cli import objects
from tests.broker.cli.objects import NOW


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (95, "1 min 35 s"),
        (601, "10 min"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (86_400, "1 day"),
        (2 * 86_400 + 3 * 3600, "2 days 3 h"),
    ],
)
def test_duration_has_at_most_two_units(seconds: float, told: str) -> None:
    assert describe_duration(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"), [(3, "just now"), (45, "45 s ago"), (150, "2 min ago"), (7300, "2 h ago"), (90_000, "1 d ago")]
)
def test_time_is_told_by_how_long_ago_it_was(seconds: int, told: str) -> None:
    assert describe_ago((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == told


@pytest.mark.parametrize(
    ("amount", "told"), [("0.00", "0.00"), ("0.0031", "<0.01"), ("0.558042", "0.56"), ("1234.5", "1234.50")]
)
def test_sum_in_a_column_is_to_the_fen(amount: str, told: str) -> None:
    assert describe_fen({"amount": amount, "currency": "CNY"}) == told


@pytest.mark.parametrize(("size", "told"), [(131, "131 B"), (2048, "2.0 KiB"), (3 * 1024**2, "3.0 MiB")])
def test_size_has_few_digits(size: int, told: str) -> None:
    assert describe_size(size) == told


def test_end_that_is_overdue_is_any_moment() -> None:
    past = (NOW - timedelta(seconds=5)).isoformat()
    assert describe_wait({"p50": past, "p90": past}, NOW) == "any moment now"


def test_text_of_a_customer_commands_no_terminal() -> None:
    """A name with an escape sequence could rewrite what staff see."""
    assert clean("a\x1b[2Jb\x07\x9b1m") == "a\ufffd[2Jb\ufffd\ufffd1m"
    assert one_line("two\nlines\tand\r\x00") == "two lines and\ufffd\ufffd"


@given(st.text(alphabet="ab 茶🍵\n", max_size=80), st.integers(10, 40))
def test_folded_text_fits_and_loses_no_word(text: str, width: int) -> None:
    lines = fold(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_columns_stand_under_each_other_with_chinese_in_them() -> None:
    lines = make_table([Column("a"), Column("b", right=True)], [["茶茶", "1"], ["x", "100"]])
    assert [line.plain for line in lines] == ["a       b", "茶茶    1", "x     100"]
    assert len({cell_len(line.plain) for line in lines}) == 1


@pytest.mark.parametrize("reason", StopReason)
def test_every_reason_to_stop_has_its_words(reason: StopReason) -> None:
    assert describe_why(objects.running(stop_requested=reason.value), NOW) == STOPS[reason.value]
    if reason not in {StopReason.CANCEL, *MAKES_WAY}:  # that ends the job, these queue it again
        assert describe_why(objects.job(status="paused", pause_reason=reason.value), NOW) == PAUSES[reason.value]


def test_job_at_its_limit_is_resumed_with_a_higher_one() -> None:
    at_limit = objects.job(status="paused", pause_reason="limit")
    assert f"broker jobs resume {objects.JOB_ID} --max-cost YUAN" in list_next_commands(at_limit)


@pytest.mark.parametrize(
    ("limit", "told"),
    [(None, "(its quote)"), ("5.00", "(its quote)"), ("1.42", "(its quote)"), ("1.00", "it pauses at 1.00 CNY")],
)
def test_limit_is_told_beside_a_cap_where_it_comes_first(limit: str | None, told: str) -> None:
    """A past fault: a job that is never charged more than 1.42 was said to pause at 5.00."""
    job = objects.job(cap=objects.money("1.42"), limit=None if limit is None else objects.money(limit))
    assert describe_limit(job).endswith(told)


@pytest.mark.parametrize(("status", "told"), [("running", "0.50 CNY so far"), ("failed", "0.50 CNY")])
def test_cost_of_a_job_that_is_over_is_for_good(status: str, told: str) -> None:
    """A past fault: a job that had succeeded had cost so much "so far"."""
    assert describe_cost(objects.job(status=status, cost=objects.money("0.50"))) == told

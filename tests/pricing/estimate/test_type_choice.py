"""The trade-off of a job between GPU types: price, time, its sum and its date."""

from fractions import Fraction

import pytest

from pricing.estimate.type_choice import (
    Preference,
    TypedRun,
    count_as_on,
    find_seconds_to_end,
    keep_affordable,
    keep_timely,
    order_runs,
)

CHEAP = TypedRun("rtx-3090", 3000, 4000, 5_000_000)
FAST = TypedRun("h100-80g", 600, 800, 9_000_000)
MIDDLE = TypedRun("rtx-4090", 1500, 2000, 7_000_000)
RUNS = [MIDDLE, FAST, CHEAP]


@pytest.mark.parametrize(
    ("preference", "expected"),
    [(Preference.CHEAPEST, [CHEAP, MIDDLE, FAST]), (Preference.FASTEST, [FAST, MIDDLE, CHEAP])],
)
def test_runs_are_ordered_by_what_is_preferred(preference, expected):
    assert order_runs(RUNS, preference) == expected


def test_of_equals_the_other_of_price_and_time_decides_and_then_the_name():
    slower, same = CHEAP._replace(sku="a", p90_seconds=4001), CHEAP._replace(sku="b")
    assert order_runs([slower, CHEAP, same], Preference.CHEAPEST) == [same, CHEAP, slower]
    dearer = CHEAP._replace(sku="a", price_micros=5_000_001)
    assert order_runs([dearer, CHEAP], Preference.FASTEST) == [CHEAP, dearer]


@pytest.mark.parametrize(
    ("micros", "kept"), [(4_999_999, RUNS), (5_000_000, [CHEAP]), (7_000_000, [MIDDLE, CHEAP]), (9_000_000, RUNS)]
)
def test_a_sum_keeps_the_runs_that_it_pays_for_and_all_where_it_pays_for_none(micros, kept):
    assert keep_affordable(RUNS, micros) == kept


@pytest.mark.parametrize(
    ("seconds", "waits", "kept"),
    [
        (799, {}, []),
        (800, {}, [FAST]),
        (2000, {}, [MIDDLE, FAST]),
        (2000, {"h100-80g": 1201}, [MIDDLE]),
        (2000, {"h100-80g": 1200, "rtx-4090": 1}, [FAST]),
    ],
)
def test_a_date_keeps_the_runs_of_which_nine_of_ten_end_in_time_their_wait_counted(seconds, waits, kept):
    assert keep_timely(RUNS, seconds, waits) == kept


def test_gpus_that_work_at_one_time_end_sooner_rounded_up_to_whole_seconds():
    assert find_seconds_to_end(FAST, {"h100-80g": 10}, gpus=3) == 267 + 10
    assert keep_timely(RUNS, 667, gpus=3) == [MIDDLE, FAST]
    assert keep_timely(RUNS, 666, gpus=3) == [FAST]


def test_what_is_left_is_the_same_share_of_time_and_price_rounded_up():
    assert CHEAP.scale(Fraction(1, 3)) == TypedRun("rtx-3090", 1000, 1334, 1_666_667)
    assert find_seconds_to_end(CHEAP, {"rtx-3090": 10}) == 4010


def test_a_run_is_read_as_it_was_written():
    assert TypedRun.from_json(CHEAP.to_json()) == CHEAP


def test_what_was_used_on_other_types_counts_as_the_same_work_takes_on_this_one():
    assert count_as_on("h100-80g", {"rtx-3090": 2001, "h100-80g": 100}, RUNS) == 401 + 100
    assert count_as_on("rtx-3090", {"h100-80g": 400, "t4": 7, None: 3}, RUNS) == 2000 + 7 + 3
    assert count_as_on("t4", {"h100-80g": 400}, RUNS) == 400

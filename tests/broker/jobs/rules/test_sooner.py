"""What would start a waiting job sooner, and for how much: in words, with a sign, in both languages."""

from datetime import UTC, datetime, timedelta

from broker.capacity.start_forecasts import ExpectedStart
from broker.jobs.rules.sooner import find_sooner, round_to_fen
from pricing.estimate.type_choice import TypedRun

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
OWN = [TypedRun("cpu", 60, 90, 5_000_000)]
DEAR, CHEAP = TypedRun("rtx-4090", 60, 90, 17_400_000), TypedRun("rtx-3090", 60, 90, 4_000_001)


def starts(**minutes):
    told = {sku.replace("_", "-"): None if at is None else NOW + timedelta(minutes=at) for sku, at in minutes.items()}
    return {sku: ExpectedStart(at, at) for sku, at in told.items()}


def find(expected, **minutes):
    at = None if expected is None else NOW + timedelta(minutes=expected)
    return find_sooner(OWN, [DEAR, CHEAP], starts(**minutes), at, NOW)


def test_a_free_type_is_told_with_what_it_costs_more_in_both_languages():
    (found,) = find(60, rtx_4090=-5, rtx_3090=90)
    assert found.message == "on rtx-4090 now: +12.40 CNY"
    assert found.message_zh == "改用 rtx-4090 现在即可开始：+12.40 元"


def test_one_that_is_cheaper_and_starts_later_than_now_is_told_with_its_time():
    first, second = find(60, rtx_4090=0, rtx_3090=30)
    assert (first.sku, second.message) == ("rtx-4090", "on rtx-3090 at 11-24 10:30 UTC: -0.99 CNY")


def test_types_of_which_nobody_knows_or_that_gain_nothing_are_left_out_and_an_unknown_start_is_beaten_by_any():
    assert find(60, rtx_4090=None, rtx_3090=60) == []
    assert find(60) == []
    assert [each.sku for each in find(None, rtx_4090=90, rtx_3090=None)] == ["rtx-4090"]


def test_a_difference_is_rounded_up_to_the_fen():
    assert [round_to_fen(micros) for micros in (1, 10_000, -1, -10_001)] == [10_000, 10_000, 0, -10_000]

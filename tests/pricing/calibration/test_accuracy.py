"""Error, coverage and drift of runs that are over: by hand, and as properties."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.calibration.accuracy import DIMENSIONS, DRIFT_WINDOW, LEVELS, MOST_WINDOWS, JudgedRun, judge_runs
from pricing.calibration.calibration import RunKind
from pricing.calibration.coverage import BandState

KIND = RunKind("rtx-3090", "causal_lm", "bf16", checkpointing=False, trainer_version="1")
START = datetime(2026, 11, 1, tzinfo=UTC)


def run_of(actual, *, p50=100.0, p90=200.0, number=0, kind=KIND, calibration="3", has_ended=True):
    return JudgedRun(
        job_id=f"job_{number:04}",
        kind=kind,
        calibration=calibration,
        p50=p50,
        p90=p90,
        actual=actual,
        finished_at=START + timedelta(hours=number),
        has_ended=has_ended,
    )


def runs_of(*actuals):
    return [run_of(actual, number=number) for number, actual in enumerate(actuals)]


@st.composite
def histories(draw, largest=120):
    """Draw runs in any order of time, of a few kinds."""
    seconds = st.floats(1, 1e7)
    drawn = draw(st.lists(st.tuples(seconds, st.floats(1, 50), seconds, st.integers(0, 500)), max_size=largest))
    return [
        run_of(
            actual,
            p50=p50,
            p90=p50 * wide,
            number=number,
            calibration=str(number % 3),
            kind=KIND._replace(sku=("a100-40g", "rtx-3090")[number % 2]),
        )
        for p50, wide, actual, number in drawn
    ]


def test_a_few_runs_by_hand():
    """Expect by hand: ratios 0.5, 1, 2, 2.5; errors 1, 0, 1/2, 3/5; two of four within p50, three within p90."""
    overall = judge_runs(runs_of(50, 100, 200, 250)).overall
    assert overall.runs == 4
    assert overall.median_ratio == 1.5
    assert overall.median_error == pytest.approx(0.55)
    assert (overall.p50.share, overall.p90.share) == (0.5, 0.75)
    assert overall.band is BandState.UNJUDGED


def test_without_runs_there_is_no_judgement():
    assert judge_runs([]) is None


def test_a_run_that_was_stopped_at_its_quote_took_more_than_any_of_its_quantiles():
    """Count a run that used up its p90 and was not done as a miss: it would hide every miss of a binding quote."""
    judged = judge_runs([run_of(200, has_ended=False)])
    assert [point.observed.share for point in judged.points] == [0.0] * 9
    assert judge_runs([run_of(200)]).overall.p90.share == 1.0


def test_quantiles_are_those_of_the_log_normal_through_p50_and_p90():
    run = run_of(1)
    assert (run.compute_quantile(0.5), run.compute_quantile(0.9)) == (100.0, 200.0)
    assert run.compute_quantile(0.1) == pytest.approx(50.0), "as far below p50 as p90 is above it, as a factor"
    at_one_sigma = NormalDist().cdf(1)
    assert run.compute_quantile(at_one_sigma) == pytest.approx(100 * 2 ** (1 / NormalDist().inv_cdf(0.9)))


def test_runs_drawn_from_their_quotes_lie_on_the_diagonal():
    spread = math.log(2) / NormalDist().inv_cdf(0.9)
    draws = [math.exp(spread * NormalDist().inv_cdf((place + 0.5) / 1000)) for place in range(1000)]
    points = judge_runs(runs_of(*(100 * draw for draw in draws))).points
    assert [point.level for point in points] == list(LEVELS)
    assert [point.observed.share for point in points] == pytest.approx(list(LEVELS), abs=0.001)


def test_an_interval_without_width_is_judged_too():
    points = judge_runs([run_of(10, p50=10, p90=10), run_of(11, p50=10, p90=10, number=1)]).points
    assert {point.observed.share for point in points} == {0.5}


def test_groups_are_told_apart_and_the_largest_stands_first():
    slow = KIND._replace(sku="cpu", checkpointing=True)
    runs = [run_of(100, number=number) for number in range(3)]
    runs += [run_of(400, number=number, kind=slow, calibration="4") for number in (3, 4)]
    groups = {(group.by, group.value): group.accuracy for group in judge_runs(runs).groups}
    assert list(groups)[:2] == [("gpu", "rtx-3090"), ("gpu", "cpu")]
    assert (groups["gpu", "rtx-3090"].median_ratio, groups["gpu", "cpu"].median_ratio) == (1.0, 4.0)
    for key in (("checkpointing", "on"), ("calibration", "4")):
        assert groups[key] == groups["gpu", "cpu"]
    assert groups["family", "causal_lm"].runs == 5


def test_drift_shows_when_runs_became_slower():
    runs = runs_of(*[100] * 30, *[300] * 30)
    windows = judge_runs(runs).drift
    assert len(windows) == 60 - DRIFT_WINDOW + 1
    assert (windows[0].accuracy.median_ratio, windows[-1].accuracy.median_ratio) == (1.0, 3.0)
    assert (windows[0].accuracy.p90.share, windows[-1].accuracy.p90.share) == (1.0, 0.0)
    assert (windows[-1].started_at, windows[-1].ended_at) == (runs[40].finished_at, runs[59].finished_at)
    assert windows[-1].accuracy.band is BandState.BELOW


def test_fewer_runs_than_a_window_show_no_drift():
    assert judge_runs(runs_of(*[100] * (DRIFT_WINDOW - 1))).drift == ()
    assert len(judge_runs(runs_of(*[100] * DRIFT_WINDOW)).drift) == 1


@pytest.mark.parametrize("count", [79, 80, 139, 1000])
def test_a_long_history_has_windows_from_end_to_end_but_not_too_many(count):
    windows = judge_runs(runs_of(*[100] * count)).drift
    assert MOST_WINDOWS / 2 <= len(windows) <= MOST_WINDOWS
    assert windows[-1].ended_at == START + timedelta(hours=count - 1)
    assert windows[0].started_at < START + timedelta(hours=count / MOST_WINDOWS)


@given(histories())
def test_every_group_by_one_thing_holds_every_run_once(runs):
    judged = judge_runs(runs)
    for by in DIMENSIONS if judged else ():
        assert sum(group.accuracy.runs for group in judged.groups if group.by == by) == len(runs)


@given(histories())
def test_a_higher_level_covers_no_fewer_runs_and_p50_and_p90_are_points_of_it(runs):
    judged = judge_runs(runs)
    if judged is None:
        return
    shares = {point.level: point.observed.share for point in judged.points}
    assert list(shares.values()) == sorted(shares.values())
    assert (shares[0.5], shares[0.9]) == (judged.overall.p50.share, judged.overall.p90.share)


@given(histories(), st.randoms(use_true_random=False))
def test_order_in_which_runs_are_given_does_not_matter(runs, random):
    runs = [replace(run, job_id=str(place)) for place, run in enumerate(runs)]
    assert judge_runs(random.sample(runs, len(runs))) == judge_runs(runs)


@given(histories(), st.floats(0.01, 100))
def test_judgement_does_not_depend_on_the_unit_of_time(runs, factor):
    judged = judge_runs(runs)
    scaled = judge_runs(
        [replace(run, p50=run.p50 * factor, p90=run.p90 * factor, actual=run.actual * factor) for run in runs]
    )
    if judged is None:
        assert scaled is None
        return
    assert scaled.overall.median_ratio == pytest.approx(judged.overall.median_ratio)
    assert scaled.overall.median_error == pytest.approx(judged.overall.median_error, rel=1e-6, abs=1e-9)

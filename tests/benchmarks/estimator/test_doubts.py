import math
from dataclasses import replace

import pytest

from benchmarks.estimator.doubts import PRIORS, DoubtfulError, cover_later_sets, find_strangers, fit_doubts
from pricing.calibration.width import Z_90
from pricing.estimate.doubt import widen
from pricing.resources.shipped_constants import load_shipped

# Ten sizes of a normal error, each as likely as the others, low estimates and high ones.
SIZES = [-1.64, -1.04, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 1.04, 1.64]


def errors_of(program, spread, kind="text", **doubts):
    return [DoubtfulError(program, kind, spread * size, doubts) for size in SIZES]


def p90_of(factors, kind="text", **doubts):
    return Z_90 * widen(factors, kind, doubts)


def test_what_was_seen_to_be_less_certain_is_wider_and_the_rest_narrower():
    programs = [f"plain {number}" for number in range(12)], [f"several {number}" for number in range(12)]
    errors = [error for name in programs[0] for error in errors_of(name, 0.1)]
    errors += [error for name in programs[1] for error in errors_of(name, 0.3, several=1.0)]
    factors = fit_doubts(errors, "time")
    assert p90_of(factors) < 0.25
    assert p90_of(factors, several=1.0) > 1.5 * p90_of(factors)


def test_a_doubt_that_no_row_speaks_for_widens_as_it_is_believed_to():
    factors = fit_doubts([error for name in "abcdef" for error in errors_of(name, 0.2)], "time")
    assert factors["long"] == pytest.approx(PRIORS["time"]["long"].value)
    assert p90_of(factors, long=2.0) == pytest.approx(p90_of(factors) * factors["long"] ** 2)


def test_nine_tenths_of_the_rows_lie_within_p90_and_a_program_counts_as_four_rows_at_most():
    usual = [error for name in "abcdefghijklmnopqrst" for error in errors_of(name, 0.2)]
    slow = [DoubtfulError("slow", "text", -1.0, {})] * 400
    factors = fit_doubts([*usual, *slow], "time")
    covered = sum(-error.log_ratio <= p90_of(factors) for error in usual) / len(usual)
    assert covered >= 0.9
    assert p90_of(factors) < 1.0


def test_kinds_share_what_is_learnt_of_how_far_errors_reach():
    errors = [error for name in "abcdefgh" for error in errors_of(name, 0.1)]
    errors += [error for name in "ijkl" for error in errors_of(name, 0.4, kind="pictures")]
    factors = fit_doubts(errors, "memory")
    assert factors["pictures"] > 2 * factors["text"]


def test_what_lay_closer_by_chance_makes_no_run_more_certain():
    errors = [error for name in "abcdefghij" for error in errors_of(name, 0.3)]
    errors += [error for name in "klmnopqrst" for error in errors_of(name, 0.05, several=1.0)]
    assert fit_doubts(errors, "time")["several"] == 1.0


def test_a_kind_of_many_programs_has_a_width_of_its_own():
    close = [error for letter in range(12) for error in errors_of(f"close {letter}", 0.1)]
    far = [DoubtfulError(f"far {letter}", "pictures", log_ratio, {}) for letter in range(12) for log_ratio in (-1.5, 0)]
    assert p90_of(fit_doubts([*close, *far], "time")) == pytest.approx(p90_of(fit_doubts(close, "time")), rel=0.05)
    assert p90_of(fit_doubts([*close, *far], "time"), "pictures") >= 1.5


def test_the_fewer_programs_a_kind_has_the_wider_it_is():
    def measure(programs):
        return p90_of(fit_doubts([error for place in range(programs) for error in errors_of(f"{place}", 0.2)], "time"))

    assert measure(3) > measure(9) > measure(40)


def test_an_error_to_one_side_tells_of_the_other():
    """Fault of before: a set that was estimated too high made the next one's intervals too narrow, once mended."""
    high, low = (fit_doubts([DoubtfulError("a", "text", side, {})], "time") for side in (0.5, -0.5))
    assert p90_of(high) == pytest.approx(p90_of(low))
    assert p90_of(high) >= 0.5


def test_what_unsaid_ways_lie_apart_is_not_widened_for_twice():
    unsaid = [replace(error, log_spread=0.3) for name in "abcdefghijklmnop" for error in errors_of(name, 0.3)]
    said = [replace(error, log_spread=0.0) for error in unsaid]
    assert p90_of(fit_doubts(unsaid, "memory")) < 0.8 * p90_of(fit_doubts(said, "memory"))


def test_what_judged_lies_within_p90_with_what_was_unsaid():
    """All lay to one side, and each tells of both: nine tenths and a sixteenth more are 15 of 16 on that side."""
    strangers = [
        DoubtfulError(f"{place}", "text", -0.1 - place / 20, {}, 1, -0.1 - place / 20, log_spread=0.2)
        for place in range(16)
    ]
    factors = fit_doubts(strangers, "memory")
    covered = [error.is_within(factors, Z_90) for error in strangers]
    assert covered == [True] * 15 + [False]


def test_without_errors_there_is_no_width():
    with pytest.raises(ValueError, match="no width"):
        fit_doubts([], "time")


def test_every_doubt_is_shipped_and_none_makes_surer():
    for measured, priors in PRIORS.items():
        shipped = load_shipped().doubts[measured]
        assert shipped.keys() == priors.keys()
        assert all(factor > 0.95 for name, factor in shipped.items() if name not in {"text", "pictures"})
        assert 0 < shipped["text"] < math.log(2)


def judged(programs, ratio, number):
    return [DoubtfulError(name, "text", 0.0, {}, number, math.log(ratio)) for name in programs]


def test_nine_tenths_are_of_what_was_estimated_before_anybody_had_seen_the_rows():
    known = [error for number in range(12) for error in errors_of(f"known {number}", 0.1)]
    strangers = judged("abcdefghijkl", 0.5, 1)
    assert p90_of(fit_doubts([*known, *strangers], "time")) >= math.log(2)
    assert p90_of(fit_doubts([*known, *strangers[:-1]], "time")) < 0.3, "eleven programs are too few to judge"


def test_all_sets_judge_and_an_estimate_that_was_mended_since_tells_less():
    older, newest = judged("abcdefghijklmnop", 0.5, 1), judged("qrstuvwxyz", 0.9, 2)
    assert find_strangers([*older, *newest]) == dict.fromkeys("abcdefghijklmnop", 1) | dict.fromkeys("qrstuvwxyz", 2)
    assert find_strangers([*newest]) == {}
    as_it_was = [replace(error, log_ratio=error.first_log_ratio) for error in older]
    assert p90_of(fit_doubts([*as_it_was, *newest], "time")) == pytest.approx(math.log(2))
    mended = [replace(error, log_ratio=2.0) for error in older]  # by a factor of fifteen: a fifteenth of a row each
    assert p90_of(fit_doubts([*mended, *newest], "time")) < math.log(2)


def test_later_sets_are_covered_by_the_widths_of_those_before():
    sets = [*judged("abcdefghijkl", 0.7, 1), *judged("mnop", 0.8, 2), *judged("qrst", 0.5, 3)]
    factors = dict.fromkeys(PRIORS["time"], 1.0) | {"text": 1.0, "pictures": 1.0}
    assert cover_later_sets(sets, factors) == [(2, 12, 4, 1.0), (3, 16, 4, 0.0)]


def test_a_program_that_had_taught_is_no_stranger_to_a_later_set():
    strangers = judged("abcdefghijkl", 0.5, 2)
    seen = [DoubtfulError("a", "text", 0.0, {}), *judged("b", 0.5, 1)]
    assert find_strangers([*strangers, *judged("m", 0.5, 2), *seen]).keys() == set("cdefghijklm") | {"b"}
    assert find_strangers([*strangers, *seen[:1]]) == {}

import pytest

from benchmarks.estimator.widths import measure_widths


def test_nine_of_ten_rows_are_covered_and_a_program_counts_as_one_whatever_its_rows():
    errors = [("text LoRA", program, 1.0) for program in "abcdefghi"]
    many_slow = [("text LoRA", "slow", 0.5)] * 50
    assert measure_widths([*errors, *many_slow]).factor_of("text LoRA") == pytest.approx(1)
    one_more = [*errors[:-1], *many_slow, ("text LoRA", "slower", 0.25)]
    assert measure_widths(one_more).factor_of("text LoRA") == pytest.approx(2**1.102, rel=1e-3)


def test_a_kind_of_one_program_takes_the_width_of_all():
    errors = [("text LoRA", program, 0.8) for program in "abc"] + [("pictures", program, 0.4) for program in "d"] * 2
    widths = measure_widths(errors)
    assert widths.factor_of("text LoRA") == pytest.approx(1.25**1.282, rel=1e-3)
    assert widths.factor_of("pictures") == widths.of_all == pytest.approx(2.5**1.224, rel=1e-3)


def test_the_width_of_two_programs_is_trusted_less_than_that_of_twenty():
    def measure(count):
        return measure_widths([("text", str(number), 0.5) for number in range(count)]).factor_of("text")

    assert measure(2) > 1.2 * measure(20) > 1.2 * 2


def test_estimates_that_were_never_too_low_need_no_factor():
    assert measure_widths([("text LoRA", "a", 1.5)]).of_all == 1


def test_without_errors_there_is_no_width():
    with pytest.raises(ValueError, match="no width"):
        measure_widths([])

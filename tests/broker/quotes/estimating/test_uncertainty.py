from dataclasses import replace

import pytest

from broker.quotes.estimating.estimate import JobEstimate
from broker.quotes.estimating.uncertainty import name_uncertainties
from pricing.calibration.change import Change
from pricing.resources.memory import FitJudgement
from tests.broker.estimates import make_estimate


def test_a_card_without_runs_is_said_to_have_none_and_what_a_probe_would_narrow() -> None:
    told = name_uncertainties(make_estimate(p50=60, p90=120))
    assert any("no finished runs on cpu" in each for each in told)
    assert any("trainer probe" in each and "2.00 times" in each for each in told)


def test_a_card_with_few_runs_says_how_many() -> None:
    assert any("4 finished runs" in each for each in name_uncertainties(make_estimate(calibration_runs=4)))


def test_a_card_that_changed_says_so_until_enough_runs_have_followed() -> None:
    changed = replace(make_estimate(calibration_runs=6), change=Change(2.0, 6, "2026-11-24T10:00:00+00:00"))
    told = name_uncertainties(changed)
    assert any("takes 2.00 times as long as before, as the last 6 runs say; until there are 9" in each for each in told)
    assert not any("without enough runs" in each for each in told)
    assert name_uncertainties(replace(changed, calibration_runs=9)) == []
    assert JobEstimate.from_json(changed.to_json()) == changed


def test_a_card_with_runs_on_a_quiet_machine_is_uncertain_for_nothing() -> None:
    assert name_uncertainties(make_estimate(calibration_runs=9, machine_load=0.2)) == []


@pytest.mark.parametrize(("load", "is_said"), [(None, False), (0.0, False), (0.89, False), (0.9, True), (3.25, True)])
def test_a_busy_machine_is_said(load: float | None, is_said: bool) -> None:
    told = name_uncertainties(make_estimate(calibration_runs=9, machine_load=load))
    assert any("busy machine" in each for each in told) is is_said


def test_pictures_are_the_least_certain() -> None:
    text = make_estimate(calibration_runs=9)
    pictures = replace(text, kind=text.kind._replace(family="stable_diffusion"))
    assert any("pictures" in each for each in name_uncertainties(pictures))


def test_the_load_comes_back_as_it_was_and_an_estimate_of_before_has_none() -> None:
    estimate = make_estimate(machine_load=1.5)
    assert JobEstimate.from_json(estimate.to_json()) == estimate
    before = estimate.to_json()
    del before["machine_load"]
    assert JobEstimate.from_json(before) == replace(estimate, machine_load=None)


def test_a_job_that_is_tight_is_certain_only_after_a_probe() -> None:
    tight = replace(make_estimate(calibration_runs=9), fit=FitJudgement.TIGHT)
    (told,) = name_uncertainties(tight)
    assert told.startswith("tight")
    assert "trainer probe" in told


def test_the_parts_of_a_peak_come_back_and_an_estimate_of_before_has_none() -> None:
    estimate = replace(make_estimate(), vram_parts={"weights": 0.251, "context": 1.0})
    assert JobEstimate.from_json(estimate.to_json()) == estimate
    before = estimate.to_json()
    del before["vram_parts"]
    assert JobEstimate.from_json(before).vram_parts is None

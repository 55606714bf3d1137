"""The probe: a dozen real steps, and what is projected from them."""

import json
import math

import pytest
import yaml
from typer.testing import CliRunner

from trainer.commands.cli import app
from trainer.commands.probe import LEAST_SPREAD, Z_90, StepClock, summarize
from trainer.errors import BadInput
from trainer.training.recipe import StepReport


def clock_of(*seconds, start=5.0):
    """Make an observer that saw training start after `start` seconds, and steps of such seconds and 100 tokens each."""
    moments = iter([0.0, start])
    observer = StepClock(clock=lambda: next(moments))
    observer.training_started(step=0, total_steps=len(seconds))
    now = start
    for number, taken in enumerate(seconds, start=1):
        now += taken
        observer.ended_at.append(now)
        observer.reports.append(StepReport(number, len(seconds), 1, 2.0, 100, 2**30))
    return observer


def test_steady_steps_are_projected_onto_the_whole_run():
    report = summarize(clock_of(9.0, 4.0, 2.0, 2.0, 2.0), 1000)
    assert report.seconds_to_start == 5.0
    assert report.measured_steps == 3
    assert report.seconds_per_step.p50 == 2.0
    assert report.tokens_per_second == 50
    assert report.peak_memory_gib == 1.0
    assert report.seconds.p50 == 5 + 1000 * 2.0
    assert report.seconds.p90 == pytest.approx(5 + 1000 * 2.0 * (1 + Z_90 * LEAST_SPREAD))


def test_uneven_steps_widen_the_interval():
    report = summarize(clock_of(1.0, 1.0, 1.0, 3.0, 1.0, 3.0), 100)
    assert report.seconds_per_step.p50 == 2.0
    relative = 0.5 * math.sqrt(1 / 4 + 1 / 100)
    assert report.seconds_per_step.p90 == pytest.approx(2.0 * (1 + Z_90 * relative))


def test_a_run_that_only_warms_up_cannot_be_projected():
    with pytest.raises(BadInput, match="nothing to project"):
        summarize(clock_of(1.0, 1.0), 2)


@pytest.fixture
def config_file(tiny_config, tmp_path):
    file = tmp_path / "probe.yaml"
    keys = {"output_dir": str(tmp_path / "out"), "epochs": 9}
    file.write_text(yaml.safe_dump(tiny_config.model_dump(mode="json", exclude_none=True) | keys), encoding="utf-8")
    return file


def test_a_probe_of_a_real_model_leaves_nothing_behind(config_file, tmp_path):
    result = CliRunner().invoke(app, ["probe", "--config", str(config_file), "--steps", "6", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["measured_steps"] == 4
    assert 0 < report["seconds_per_step"]["p50"] <= report["seconds_per_step"]["p90"]
    assert report["steps"] > 6
    assert not (tmp_path / "out").exists()


def test_too_few_steps_are_refused(config_file):
    result = CliRunner().invoke(app, ["probe", "--config", str(config_file), "--steps", "2"])
    assert result.exit_code != 0
    assert "at least 5 steps" in result.output

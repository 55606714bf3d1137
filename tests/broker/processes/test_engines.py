"""Which engine the settings make, and what they may not say."""

from pathlib import Path
from typing import Any

import pytest

from broker.cli.local.options import load_settings
from broker.errors import OperatorError
from broker.execution.engine import LaunchSpec
from broker.execution.local import LocalEngine
from broker.execution.ray.engine import RayEngine
from broker.execution.slurm.engine import SlurmEngine, SlurmPlace
from broker.processes.engines import make_engine

RAY = {"engine": "ray", "ray_address": "http://head:8265/"}


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, LocalEngine),
        ({"engine": "simulated", "gpu_type": "rtx-4090", "local_slots": 8}, LocalEngine),
        ({"engine": "slurm"}, SlurmEngine),
        (RAY, RayEngine),
    ],
)
async def test_engine_is_the_one_that_is_named(tmp_path: Path, options: dict[str, Any], kind: type) -> None:
    engine = make_engine(load_settings(data_dir=tmp_path, **options))
    assert type(engine) is kind
    await engine.close()


async def test_machine_that_pretends_has_as_many_gpus_as_it_says_and_shows_its_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    settings = load_settings(data_dir=tmp_path, engine="simulated", gpu_type="rtx-4090", local_slots=8)
    engine = make_engine(settings)
    capacity = await engine.capacity()
    assert (capacity.sku, capacity.gpus) == ("rtx-4090", 8)
    assert isinstance(engine, LocalEngine)
    assert engine._devices.take("run_1", 8, is_held=lambda _run_id: True) == ""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"engine": "ray"}, "BROKER_RAY_ADDRESS must name the dashboard"),
        ({"engine": "ray", "ray_address": "head:8265"}, "BROKER_RAY_ADDRESS: 'head:8265' is no address"),
        ({"engine": "pbs"}, "BROKER_ENGINE: "),
        ({"slurm_options": "--mem '8G"}, "BROKER_SLURM_OPTIONS: .* cannot be split"),
        ({"slurm_options": "--mem=8G --array=1-9"}, "BROKER_SLURM_OPTIONS: '--array=1-9' is for the broker to say"),
        ({"slurm_options": "-W"}, "BROKER_SLURM_OPTIONS: '-W' is for the broker to say"),
        ({"slurm_options": "--mem=8G train.sh"}, "BROKER_SLURM_OPTIONS: 'train.sh' is no option"),
    ],
)
def test_setting_that_cannot_be_is_told_by_its_name(options: dict[str, Any], told: str) -> None:
    with pytest.raises(OperatorError, match=told):
        load_settings(**options)


def test_options_of_a_job_name_its_run_its_place_and_its_gpus_and_carry_no_secret() -> None:
    place = SlurmPlace(partition="train", account="lora", gres="gpu:a100", options=("--mem=8G",))
    spec = LaunchSpec("run_1", "job_1", 3, "s3cret", 2, "http://broker", "n1")
    options = place.list_options(spec)
    assert {"--job-name=run_1", "--gres=gpu:a100:2", "--nodes=1", "--no-requeue", "--export=NIL"} <= set(options)
    assert options[-4:] == ["--partition=train", "--account=lora", "--nodelist=n1", "--mem=8G"]
    assert "s3cret" not in " ".join(options)
    assert "--cpus-per-task=2" in SlurmPlace(gres=None).list_options(spec)

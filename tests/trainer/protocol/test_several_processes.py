"""A run of the broker that holds several devices: one process on each, one of which speaks with the broker."""

import os
import signal
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load

from tests.trainer.protocol.test_worker import TOKENS_OF_AN_EPOCH, start_process
from trainer.errors import ExitCode
from trainer.protocol.worker import work_on
from trainer.stop import StopFlag

pytestmark = pytest.mark.slow
TOLERANCE = 2e-5  # the sums of fp32 gradients are taken in another order


@pytest.fixture
def two_devices(broker, tiny_config, tiny_model):
    paths = {"train_data_dir", "metadata_path", "output_dir", "resume_from"}
    broker.config = tiny_config.model_dump(exclude=paths, mode="json") | {"lora_dropout": 0.0}
    broker.gpus = 2
    return broker


def find_peer(process) -> psutil.Process:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = psutil.Process(process.pid).children()
        if children:
            return children[0]
        time.sleep(0.05)
    raise AssertionError("no second process was started")


def test_two_processes_train_what_one_does_and_both_devices_are_billed(
    two_devices, environment, client, tiny_source, tiny_model, tmp_path, monkeypatch
) -> None:
    assert start_process(environment, tiny_model, tmp_path / "two.log").wait(120) == ExitCode.SUCCEEDED
    said = (tmp_path / "two.log").read_text()
    assert two_devices.finishes[0]["outcome"] == "succeeded", said
    assert two_devices.total("tokens") == 3 * TOKENS_OF_AN_EPOCH
    assert said.count("training from step 0 to 18") == 1
    shared, held = load(two_devices.adapter), [event["data"] for event in two_devices.events.values()]
    begin, end = (datetime.fromisoformat(held[place][name]) for place, name in ((0, "started_at"), (-1, "ended_at")))
    assert two_devices.total("gpu_seconds") == pytest.approx(2 * (end - begin).total_seconds(), abs=1)
    assert "LORA_RUN_TOKEN" not in (environment.work_dir / "peers.yaml").read_text()

    two_devices.gpus, two_devices.events, two_devices.finishes, two_devices.checkpoint = 1, {}, [], None
    monkeypatch.setattr("trainer.protocol.assigned_training.resolve_base_model", lambda _name, **_: tiny_source)
    assert work_on(client, client.claim(), environment, StopFlag()) == ExitCode.SUCCEEDED
    for name, tensor in load(two_devices.adapter).items():
        torch.testing.assert_close(shared[name], tensor, atol=TOLERANCE, rtol=0)


def test_the_second_process_knows_no_token_and_is_in_the_group_that_the_engine_ends(
    two_devices, environment, tiny_model, tmp_path
) -> None:
    two_devices.config |= {"save_steps": 100_000, "epochs": 10_000}
    process = start_process(environment, tiny_model, tmp_path / "run.log")
    peer = find_peer(process)
    two_devices.wait_for(lambda: two_devices.heartbeats and two_devices.heartbeats[-1]["progress"])
    variables = peer.environ()
    assert (variables["RANK"], variables["WORLD_SIZE"]) == ("1", "2")
    assert "LORA_RUN_TOKEN" not in variables
    assert os.getpgid(peer.pid) == os.getpgid(process.pid)
    process.terminate()
    assert process.wait(60) == ExitCode.PREEMPTED
    assert two_devices.finishes[0]["outcome"] == "preempted"
    assert two_devices.checkpoint[0] == two_devices.finishes[0]["progress"]["step"]
    assert not peer.is_running()


def test_a_second_process_that_dies_takes_the_run_with_it(two_devices, environment, tiny_model, tmp_path) -> None:
    two_devices.config |= {"save_steps": 100_000, "epochs": 10_000}
    process = start_process(environment, tiny_model, tmp_path / "run.log")
    peer = find_peer(process)
    two_devices.wait_for(lambda: two_devices.heartbeats and two_devices.heartbeats[-1]["progress"])
    peer.send_signal(signal.SIGKILL)
    assert process.wait(60) == ExitCode.FAILED
    assert all(finish["outcome"] == "failed" for finish in two_devices.finishes)


def test_a_configuration_that_cannot_be_used_is_told_by_the_first(
    two_devices, environment, tiny_model: Path, tmp_path
) -> None:
    two_devices.config |= {"target_modules": ["nope"]}
    assert start_process(environment, tiny_model, tmp_path / "run.log").wait(120) == ExitCode.BAD_INPUT
    assert two_devices.finishes[0]["error"]["code"] == "bad_input"

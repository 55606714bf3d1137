"""A whole run under the protocol: in this process for what it says, in processes of their own for what kills it."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load

from trainer.base_models.config import BaseModelSource
from trainer.errors import ExitCode
from trainer.protocol.client import BrokerClient, RunEnvironment
from trainer.protocol.worker import work_on
from trainer.stop import StopFlag

pytestmark = pytest.mark.slow

# The catalogue has no model small enough for a test, so the process is told where "tiny" is.
WORKER = """
import sys, pathlib, torch
from trainer.base_models import config
torch.set_num_threads(1)
config.resolve_base_model = lambda name, **_: config.BaseModelSource("tiny", pathlib.Path(sys.argv[1]))
from trainer.protocol.worker import run_worker
sys.exit(run_worker())
"""
TOKENS_OF_AN_EPOCH = 11 * len("tea 0?\n") + 1 + sum(len("calm " * (n % 4 + 1)) for n in range(11))


@pytest.fixture
def tiny_in_catalogue(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = BaseModelSource("tiny", tiny_model)  # as in WORKER: one goes on from the other's checkpoint
    monkeypatch.setattr("trainer.protocol.assigned_training.resolve_base_model", lambda _name, **_: source)


@pytest.fixture
def configured(broker, tiny_config):
    paths = {"train_data_dir", "metadata_path", "output_dir", "resume_from"}
    broker.config = tiny_config.model_dump(exclude=paths, mode="json") | {"base_model": "tiny"}
    return broker


@pytest.fixture
def run_here(client, environment, tiny_in_catalogue):
    def run(stop: StopFlag | None = None) -> ExitCode:
        return work_on(client, client.claim(), environment, stop or StopFlag())

    return run


def start_process(environment: RunEnvironment, tiny_model: Path, log: Path) -> subprocess.Popen[bytes]:
    variables = {
        "LORA_BROKER_URL": environment.broker_url,
        "LORA_RUN_ID": environment.run_id,
        "LORA_RUN_TOKEN": environment.run_token,
        "LORA_FENCE_TOKEN": str(environment.fence_token),
        "LORA_WORK_DIR": str(environment.work_dir),
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    command = [sys.executable, "-c", WORKER, str(tiny_model)]
    with log.open("wb") as output:
        return subprocess.Popen(command, env=os.environ | variables, stdout=output, stderr=subprocess.STDOUT)


def test_a_run_succeeds_and_every_token_is_on_the_books(configured, run_here) -> None:
    assert run_here() == ExitCode.SUCCEEDED
    finish = configured.finishes[0]
    assert (finish["outcome"], finish["error"]) == ("succeeded", None)
    assert finish["progress"]["step"] == finish["progress"]["total_steps"] == 18
    assert configured.total("tokens") == 3 * TOKENS_OF_AN_EPOCH
    adapter = load(configured.adapter)
    assert all(name.startswith("base_model.model.model.layers.") for name in adapter)
    assert configured.requests.index("PUT adapter") < configured.requests.index("POST finish")


def test_validation_losses_samples_and_cost_are_told(configured, run_here, capsys) -> None:
    configured.config |= {"validation_split": 0.2, "sample_prompts": ["tea?"], "epochs": 60, "learning_rate": 0.05}
    assert run_here() == ExitCode.SUCCEEDED
    assert [observation["step"] for observation in configured.validations][:2] == [5, 10]
    assert len(configured.validations) == 60
    assert configured.finishes[0]["progress"]["validation_loss"] == configured.validations[-1]["loss"]
    advice = [observation["advice"] for observation in configured.validations if observation["advice"]]
    assert advice
    assert all(text.startswith("overfitting") and "lora_dropout" in text for text in advice)
    last = configured.samples[-1]
    assert (last["step"], last["prompt"]) == (300, "tea?")
    assert isinstance(last["text"], str)
    assert " left cost 1.30 CNY" in capsys.readouterr().out


def test_nothing_stays_in_the_spool_or_among_the_uploads(configured, run_here, environment) -> None:
    run_here()
    assert list((environment.work_dir / "spool").iterdir()) == []
    assert list((environment.work_dir / "uploads").iterdir()) == []


def test_training_goes_on_while_the_broker_is_away(configured, run_here) -> None:
    """Everything but claim and data set fails until the adapter has been refused once; then all of it arrives."""
    configured.away_for = {"heartbeats", "checkpoints", "adapter"}
    original = configured.handle

    def handle_and_come_back(request) -> None:
        original(request)
        if request.path.endswith("/adapter"):
            configured.away_for = set()

    configured.handle = handle_and_come_back
    assert run_here() == ExitCode.SUCCEEDED
    assert configured.total("tokens") == 3 * TOKENS_OF_AN_EPOCH
    assert configured.requests.count("PUT adapter") == 2


def test_time_of_usage_is_the_broker_s_however_the_worker_s_clock_is_set(configured, run_here) -> None:
    run_here()
    events = [configured.events[sequence]["data"] for sequence in sorted(configured.events)]
    assert events[0]["started_at"] == "2031-05-06T07:08:09.000000Z"
    assert all(data["ended_at"].startswith("2031-05-06T07:") for data in events)


def test_usage_is_cut_where_a_checkpoint_ends(configured, run_here) -> None:
    """What was used up to the mark is what the uploaded checkpoint keeps, to the token."""
    configured.config |= {"save_steps": 4}
    assert run_here() == ExitCode.SUCCEEDED
    events = [configured.events[sequence]["data"] for sequence in sorted(configured.events)]
    marks = {data["checkpoint_step"]: place for place, data in enumerate(events) if data["checkpoint_step"]}
    assert list(marks) == [4, 8, 12, 16]
    assert configured.checkpoints
    for step, content in configured.checkpoints.items():
        kept = sum(data["tokens"] for data in events[: marks[step] + 1])
        assert read_counters(content) == {"step": step, "tokens": kept}


def test_checkpoint_of_a_stop_ends_an_interval_too(configured, run_here) -> None:
    configured.config |= {"save_steps": 10_000, "epochs": 1000}
    stop_once_it_trains(configured, "pause")
    assert run_here() == ExitCode.STOPPED
    step, content = configured.checkpoint
    marked = [event["data"]["sequence"] for event in configured.events.values() if event["data"]["checkpoint_step"]]
    assert [configured.events[sequence]["data"]["checkpoint_step"] for sequence in marked] == [step]
    assert read_counters(content)["tokens"] == configured.total("tokens")


def read_counters(checkpoint: bytes) -> dict[str, int]:
    with tarfile.open(fileobj=io.BytesIO(checkpoint)) as tar:
        counters = json.load(tar.extractfile("state.json"))["counters"]
    return {"step": counters["step"], "tokens": counters["tokens"]}


def stop_once_it_trains(configured, reason: str) -> None:
    original = configured.on_heartbeats

    def answer(said):
        if (said["progress"] or {}).get("step", 0) >= 3:
            configured.stop_reason = reason
        return original(said)

    configured.on_heartbeats = answer


@pytest.mark.parametrize("reason", ["pause", "balance", "cancel"])
def test_a_stop_command_ends_the_run_with_a_checkpoint_unless_it_is_cancelled(configured, run_here, reason) -> None:
    configured.config |= {"save_steps": 10_000, "epochs": 1000}
    stop_once_it_trains(configured, reason)
    assert run_here() == ExitCode.STOPPED
    finish = configured.finishes[0]
    assert finish["outcome"] == "stopped"
    assert configured.adapter is None
    if reason == "cancel":
        assert configured.checkpoint is None
    else:
        assert configured.checkpoint[0] == finish["progress"]["step"]


def test_the_next_attempt_goes_on_from_the_uploaded_checkpoint(configured, run_here) -> None:
    configured.config |= {"save_steps": 1, "epochs": 40}
    original = configured.on_heartbeats
    stop_once_it_trains(configured, "pause")
    assert run_here() == ExitCode.STOPPED
    assert configured.checkpoint[0] == configured.finishes[0]["progress"]["step"]

    configured.on_heartbeats, configured.stop_reason, configured.finishes = original, None, []
    assert run_here() == ExitCode.SUCCEEDED
    assert configured.total("tokens") == 40 * TOKENS_OF_AN_EPOCH


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [({"lora_rank": 0}, "bad_config", "lora_rank"), ({"target_modules": ["nope"]}, "bad_input", "target_modules")],
)
def test_a_bad_configuration_fails_with_its_field(configured, run_here, change, code, field) -> None:
    configured.config |= change
    assert run_here() == ExitCode.BAD_INPUT
    error = configured.finishes[0]["error"]
    assert error["code"] == code
    assert error["message"].startswith(field)


def test_a_path_as_base_model_is_refused_under_the_broker(configured, client, environment, tiny_model) -> None:
    configured.config |= {"base_model": str(tiny_model)}
    assert work_on(client, client.claim(), environment, StopFlag()) == ExitCode.BAD_INPUT
    assert "not in the catalogue" in configured.finishes[0]["error"]["message"]


def test_an_unforeseen_failure_is_told_to_the_broker(configured, run_here, monkeypatch, capsys) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("trainer.protocol.assigned_training.run_training", fail)
    assert run_here() == ExitCode.FAILED
    assert configured.finishes[0]["error"] == {"code": "internal_error", "message": "ZeroDivisionError: oh"}
    assert "Traceback" in capsys.readouterr().out


def test_an_adapter_that_is_refused_makes_the_run_fail(configured, run_here) -> None:
    original = configured.store
    configured.store = lambda request, name, body: (
        (413, b'{"detail": "too large"}') if name == "adapter" else original(request, name, body)
    )
    assert run_here() == ExitCode.FAILED
    assert configured.finishes[0]["error"]["code"] == "broker_refused"


def test_a_killed_run_is_billed_to_its_last_heartbeat_and_the_next_attempt_finishes(
    configured, environment, tiny_model, tiny_in_catalogue, tmp_path, capsys
) -> None:
    configured.config |= {"save_steps": 20, "epochs": 60}
    process = start_process(environment, tiny_model, tmp_path / "first.log")
    configured.wait_for(lambda: configured.checkpoint is not None and configured.checkpoint[0] >= 40)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert configured.finishes == []
    billed = configured.total("tokens")
    assert 0 < billed < 60 * TOKENS_OF_AN_EPOCH

    configured.run_id, configured.fence, configured.events = "run_2", 4, {}
    step = configured.checkpoint[0]
    second = replace(environment, run_id="run_2", fence_token=4, work_dir=tmp_path / "second")
    second.work_dir.mkdir()
    with closing(BrokerClient(second)) as client:
        assert work_on(client, client.claim(), second, StopFlag()) == ExitCode.SUCCEEDED
    assert f"training from step {step} to 360" in capsys.readouterr().out
    assert configured.adapter is not None
    assert 0 < configured.total("tokens") < 60 * TOKENS_OF_AN_EPOCH


def test_sigterm_writes_and_uploads_a_checkpoint(configured, environment, tiny_model, tmp_path) -> None:
    configured.config |= {"save_steps": 100_000, "epochs": 10_000}
    process = start_process(environment, tiny_model, tmp_path / "run.log")
    configured.wait_for(lambda: configured.heartbeats and configured.heartbeats[-1]["progress"])
    process.terminate()
    assert process.wait(60) == ExitCode.PREEMPTED
    finish = configured.finishes[0]
    assert finish["outcome"] == "preempted"
    step, content = configured.checkpoint
    assert step == finish["progress"]["step"]
    assert read_counters(content) == {"step": step, "tokens": configured.total("tokens")}


def test_a_stale_fence_stops_the_process_at_once(configured, environment, tiny_model, tmp_path) -> None:
    configured.config |= {"epochs": 10_000}
    process = start_process(environment, tiny_model, tmp_path / "run.log")
    configured.wait_for(lambda: configured.heartbeats and configured.heartbeats[-1]["progress"])
    configured.fence = 4
    assert process.wait(30) == ExitCode.FENCED_OFF
    assert configured.finishes == []


def test_gpu_seconds_are_reported_while_the_model_loads(configured, environment, tiny_model, tmp_path) -> None:
    process = start_process(environment, tiny_model, tmp_path / "run.log")
    assert process.wait(120) == ExitCode.SUCCEEDED
    assert configured.requests.index("POST heartbeats") <= configured.requests.index("GET dataset")
    assert any(beat["usage"] and beat["progress"] is None for beat in configured.heartbeats)


def test_the_first_beat_does_not_wait_for_torch() -> None:
    check = (
        "import sys, trainer.protocol.worker; sys.exit(sum(name in sys.modules for name in ('torch', 'transformers')))"
    )
    subprocess.run([sys.executable, "-c", check], check=True, cwd=Path(__file__).parents[3])

"""The command, as a person at a desk meets it."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from trainer.commands.cli import app
from trainer.errors import ExitCode
from trainer.training.console import ProgressBar

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def config_file(tiny_config, tmp_path):
    file = tmp_path / "lora.yaml"
    file.write_text(yaml.safe_dump(tiny_config.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    return file


@pytest.fixture
def invoke():
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def change(config_file: Path, **changes) -> None:
    content = yaml.safe_load(config_file.read_text()) | changes
    config_file.write_text(yaml.safe_dump(content))


def test_train_writes_an_adapter_and_says_where(invoke, config_file, tiny_config) -> None:
    result = invoke("train", "--config", config_file)
    assert result.exit_code == ExitCode.SUCCEEDED, result.output
    adapter = Path(tiny_config.output_dir) / "adapter_model.safetensors"
    assert f"adapter: {adapter}" in result.output
    assert adapter.is_file()
    lines = [line for line in result.output.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["1/18", "10/18", "18/18"]
    assert all(" loss " in line and " tokens/s " in line for line in lines)


def test_complete_answers_with_and_without_the_adapter(invoke, config_file, tiny_config) -> None:
    change(config_file, epochs=40, lora_dropout=0.0)
    assert invoke("train", "--config", config_file).exit_code == ExitCode.SUCCEEDED
    question = ("complete", "--config", config_file, "--prompt", "tea 0?", "--max-new-tokens", 4)
    before = invoke(*question)
    after = invoke(*question, "--adapter", f"{tiny_config.output_dir}/adapter_model.safetensors")
    assert (before.exit_code, after.exit_code) == (0, 0)
    assert before.output != after.output


def test_a_second_training_into_the_same_folder_is_refused_with_what_to_do(invoke, config_file, tiny_config) -> None:
    invoke("train", "--config", config_file)
    result = invoke("train", "--config", config_file)
    assert result.exit_code == ExitCode.BAD_INPUT
    latest = Path(tiny_config.output_dir) / "checkpoints" / "step-00000015"
    assert f"output_dir: {tiny_config.output_dir} holds checkpoints" in result.output
    assert f"resume_from: {latest}" in result.output
    assert invoke("train", "--config", config_file, "--resume-from", latest).exit_code == ExitCode.SUCCEEDED


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora_rank": 0}, "lora_rank: Input should be greater"),
        ({"batchsize": 4}, "batchsize: unknown key; did you mean batch_size?"),
        ({"base_model": "gpt-17"}, "base_model: 'gpt-17' is neither a name of the catalogue"),
        ({"train_data_dir": "/nowhere"}, "train_data_dir: /nowhere is not a folder"),
        ({"target_modules": ["nope"]}, "target_modules: 'nope' matches no linear layer"),
        ({"resume_from": "/nowhere"}, "resume_from: /nowhere is no readable checkpoint"),
    ],
)
def test_what_cannot_be_used_is_one_message_with_file_key_and_cure(invoke, config_file, changes, message) -> None:
    change(config_file, **changes)
    result = invoke("train", "--config", config_file)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert str(config_file) in result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_rows_that_are_left_out_are_said(invoke, config_file, tiny_dataset) -> None:
    (tiny_dataset / "more.jsonl").write_text(json.dumps({"prompt": "no completion"}))
    change(config_file, skip_bad_rows=True)
    assert "row left out: more.jsonl line 1" in invoke("train", "--config", config_file).output


def test_rows_that_cannot_be_used_are_refused_with_their_list(invoke, config_file, tiny_dataset) -> None:
    """They were left out, and the rest trained, before anybody had read that."""
    (tiny_dataset / "more.jsonl").write_text('{"prompt": "no completion"}\n{"prompt": \n')
    refused = invoke("train", "--config", config_file)
    assert refused.exit_code == ExitCode.BAD_INPUT
    said = refused.output
    assert "2 cannot be used; cure them, or set skip_bad_rows: true, or max_bad_share, to train without them" in said
    assert "more.jsonl line 1 prompt and completion are both needed" in said
    assert "more.jsonl line 2 not JSON" in said


@pytest.mark.slow
def test_ctrl_c_writes_a_checkpoint_and_says_how_to_go_on(config_file, tiny_config, invoke) -> None:
    change(config_file, epochs=10_000, save_steps=1_000_000)
    command = [sys.executable, "-m", "trainer", "train", "--config", str(config_file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=os.environ)
    assert process.stdout is not None
    assert any(line.startswith("step 10/") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    said = process.stdout.read()
    assert process.wait(60) == ExitCode.STOPPED
    process.stdout.close()
    checkpoint = max((Path(tiny_config.output_dir) / "checkpoints").iterdir())
    assert f"to go on: --resume-from {checkpoint}" in said


def test_the_progress_bar_goes_from_loading_to_the_last_step(recorder, train_tiny) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    observer = recorder()
    with ProgressBar(console) as bar:
        bar.stop = observer.stop
        train_tiny(bar)
    shown = console.file.getvalue()
    assert "18/18" in shown
    assert "it/s" in shown
    assert "checkpoint of step 15 in" in shown


def test_the_engine_can_start_it_as_a_module() -> None:
    command = [sys.executable, "-m", "trainer", "--help"]
    assert "complete" in subprocess.check_output(command, cwd=REPOSITORY, text=True)


def test_run_without_a_broker_says_who_starts_it(invoke, monkeypatch) -> None:
    for name in [name for name in os.environ if name.startswith("LORA_")]:
        monkeypatch.delenv(name)
    result = invoke("run")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "people use `trainer train`" in result.output


def test_help_does_not_load_torch() -> None:
    heavy = "sum(name in sys.modules for name in ('torch', 'transformers', 'peft'))"
    check = f"import sys, trainer.commands.cli; sys.exit({heavy})"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=REPOSITORY)

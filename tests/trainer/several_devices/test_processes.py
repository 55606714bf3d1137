"""Two processes over gloo: the losses, the tokens and the adapter of one process, written once."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from pricing.training.config import TrainingConfig
from tests.trainer.checking.pictures import write_pictures
from trainer.commands.cli import app
from trainer.errors import ExitCode
from trainer.several_devices.launch import find_free_port
from trainer.several_devices.processes import SINGLE_PROCESS, Processes
from trainer.training.adapter_file import read_adapter

REPOSITORY = Path(__file__).parents[3]
TOLERANCE = 2e-5  # the sums of fp32 gradients are taken in another order


def write_config(config: TrainingConfig, folder: Path, **changes) -> Path:
    folder.mkdir(exist_ok=True)
    content = config.model_dump(mode="json", exclude_none=True) | {"output_dir": str(folder / "output")} | changes
    (folder / "lora.yaml").write_text(yaml.safe_dump(content))
    return folder / "lora.yaml"


def train_alone(file: Path) -> str:
    """Train in one process, which is this one; returns what it says."""
    done = CliRunner().invoke(app, ["train", "--config", str(file)])
    assert done.exit_code == 0, done.output
    return done.stdout


def train_together(file: Path, *arguments: str, by: str = "trainer") -> subprocess.CompletedProcess[str]:
    """Train in two processes, started by one of the programs that start them."""
    port = str(find_free_port())
    torchrun = ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", port, "-m", "trainer"]
    accelerate = ["accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
    accelerate += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port, "-m", "trainer"]
    starting = {"trainer": ["trainer"], "torchrun": torchrun, "accelerate": accelerate}[by]
    own = ["--num-processes", "2"] if by == "trainer" else []
    command = [sys.executable, "-m", *starting, "train", "--config", str(file), *own, *arguments]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False, timeout=120)


def tensors_of(file: Path) -> dict[str, torch.Tensor]:
    return read_adapter(file.parent / "output" / "adapter_model.safetensors").tensors


def losses_of(said: str) -> list[str]:
    return [line.split(" tokens/s")[0] for line in said.splitlines() if line.startswith("step ")]


def said_at(start: str, said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith(start)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "changes"),
    [("trainer", {"batch_size": 4}), ("torchrun", {"batch_size": 2, "gradient_accumulation": 2})],
)
def test_two_processes_train_what_one_trains(tiny_config, tmp_path, by, changes) -> None:
    changes |= {"lora_dropout": 0.0, "epochs": 4}
    one, two = (write_config(tiny_config, tmp_path / name, **changes) for name in ("one", "two"))
    alone, shared = train_alone(one), train_together(two, by=by)
    assert shared.returncode == 0, shared.stderr
    assert losses_of(alone) == losses_of(shared.stdout)  # to four places
    tokens = [next(line for line in said.splitlines() if " tokens in " in line) for said in (alone, shared.stdout)]
    assert tokens[0] == tokens[1]
    assert len(said_at("adapter: ", shared.stdout)) == len(said_at("training from step 0 to ", shared.stdout)) == 1
    expected, found = tensors_of(one), tensors_of(two)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=TOLERANCE, rtol=0)


@pytest.mark.slow
def test_two_processes_of_accelerate_train_pictures_and_noise_of_one(tmp_path, picture_cache, tiny_sd15) -> None:
    write_pictures(tmp_path / "data", 4)
    config = TrainingConfig(
        base_model=str(tiny_sd15),
        train_data_dir=str(tmp_path / "data"),
        lora_rank=4,
        resolution=64,
        batch_size=4,
        max_steps=2,
    )
    one, two = (write_config(config, tmp_path / name) for name in ("one", "two"))
    alone, shared = train_alone(one), train_together(two, by="accelerate")
    assert shared.returncode == 0, shared.stderr
    assert losses_of(alone) == losses_of(shared.stdout)
    assert len(said_at("adapter: ", shared.stdout)) == len(said_at("training from step 0 to 2", shared.stdout)) == 1
    found = tensors_of(two)
    for name, tensor in tensors_of(one).items():
        torch.testing.assert_close(found[name], tensor, atol=5 * TOLERANCE, rtol=0)


@pytest.mark.slow
def test_two_processes_say_all_once_and_go_on_from_a_checkpoint_as_if_never_stopped(tiny_config, tmp_path) -> None:
    more = {"sample_prompts": ["tea 0?"], "validation_split": 0.2, "save_steps": 4}
    whole = write_config(tiny_config, tmp_path / "whole", **more)  # dropout 0.2, nine rows in batches of two
    done = train_together(whole)
    assert done.returncode == 0, done.stderr
    said = Counter(line for line in done.stdout.splitlines() if line.startswith(("checkpoint", "adapter", "training")))
    assert said
    assert set(said.values()) == {1}
    cut = write_config(tiny_config, tmp_path / "cut", **more)
    latest = max((tmp_path / "whole" / "output" / "checkpoints").iterdir())
    rest = train_together(cut, "--resume-from", str(latest))
    assert rest.returncode == 0, rest.stderr
    assert len(said_at("training from step 12 to 15", rest.stdout)) == 1
    for name, tensor in tensors_of(whole).items():
        assert torch.equal(tensors_of(cut)[name], tensor), name


@pytest.mark.slow
def test_bad_input_ends_all_processes_with_its_code(tiny_config, tmp_path) -> None:
    file = write_config(tiny_config, tmp_path / "two", target_modules=["nope"])
    done = train_together(file)
    assert done.returncode == ExitCode.BAD_INPUT
    assert "target_modules: 'nope' matches no linear layer" in done.stderr


def test_batches_are_dealt_out_and_none_is_lost() -> None:
    batches = list(range(7))
    dealt = [Processes(rank, 3).share(batches) for rank in range(3)]
    assert sorted(batch for part in dealt for batch in part) == batches
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


@pytest.mark.parametrize(("rows", "count", "size"), [(4, 2, 2), (8, 2, 4), (3, 2, 2), (1, 4, 1), (12, 2, 4)])
def test_batches_shrink_only_so_that_every_process_has_one(rows, count, size) -> None:
    assert Processes(0, count).choose_batch_size(4, rows) == size


def test_one_process_draws_from_the_common_generator_and_others_do_not() -> None:
    def draw(processes: Processes) -> tuple[float, float]:
        torch.manual_seed(1)
        with processes.own_randomness(seed=1, step=1):
            inside = torch.rand(()).item()
        return inside, torch.rand(()).item()

    torch.manual_seed(1)
    common = torch.rand(()).item(), torch.rand(()).item()
    assert draw(SINGLE_PROCESS) == common
    first, second = draw(Processes(0, 2)), draw(Processes(1, 2))
    assert len({first[0], second[0], common[0]}) == 3
    assert first[1] == second[1] == common[0]

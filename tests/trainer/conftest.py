"""A tiny random LLaMA with a byte tokenizer, a small data set, and the training of the two, in a second or so."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image, ImageDraw
from transformers import LlamaConfig, LlamaForCausalLM

from pricing.datasets.text_rows import EncodedRow
from pricing.training.config import TrainingConfig
from pricing.training.step_plan import hold_out_rows
from trainer.base_models.config import BaseModelSource
from trainer.commands.make_tiny import make_tiny
from trainer.commands.make_tiny_llama import write_byte_tokenizer
from trainer.families.text.causal_lm import CausalLM
from trainer.stop import StopFlag, StopReason
from trainer.training.checkpoint import CheckpointFolder
from trainer.training.recipe import StepReport, TrainingResult, train
from trainer.training.state import RunIdentity, seed_generators


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)  # tiny tensors; two workers of pytest-xdist share two cores


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model folder: 2 layers of width 32, random weights, one token for each byte."""
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=257,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    write_byte_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_source(tiny_model: Path) -> BaseModelSource:
    return BaseModelSource("tiny-llama", tiny_model)


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Path:
    """Eleven rows of different lengths: with batches of two, the last batch of an epoch is short."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [{"prompt": f"tea {number}?", "completion": "calm " * (number % 4 + 1)} for number in range(11)]
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return folder


@pytest.fixture
def tiny_config(tiny_model: Path, tiny_dataset: Path, tmp_path: Path) -> TrainingConfig:
    return TrainingConfig(
        base_model=str(tiny_model),
        train_data_dir=str(tiny_dataset),
        output_dir=str(tmp_path / "output"),
        lora_rank=4,
        lora_dropout=0.2,
        batch_size=2,
        epochs=3,
        learning_rate=1e-2,
        max_length=32,
        warmup_steps=2,
        save_steps=5,
        seed=3,
    )


@dataclass
class Recorder:
    """An observer that remembers everything, and asks to stop after `stop_after` steps."""

    stop: StopFlag = field(default_factory=StopFlag)
    stop_after: int | None = None
    reason: StopReason = StopReason.PREEMPTED
    reports: list[StepReport] = field(default_factory=list)
    saved: list[Path] = field(default_factory=list)
    validations: list[tuple[int, float, str | None]] = field(default_factory=list)
    samples: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def losses(self) -> list[float]:
        return [report.loss for report in self.reports]

    def training_started(self, *, step: int, total_steps: int) -> None:
        self.started = (step, total_steps)

    def step_done(self, report: StepReport) -> None:
        self.reports.append(report)
        if len(self.reports) == self.stop_after:
            self.stop.request(self.reason)

    def validated(self, *, step: int, loss: float, advice: str | None) -> None:
        self.validations.append((step, loss, advice))

    def sampled(self, *, step: int, prompt: str, sample: str) -> None:
        self.samples.append((step, prompt, sample))

    def checkpoint_saved(self, folder: Path, step: int) -> None:
        assert folder.name == f"step-{step:08d}"
        self.saved.append(folder)


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture
def encoded_rows() -> list[EncodedRow]:
    return [EncodedRow(list(range(10 * n, 10 * n + 4 + n)), prompt_length=2) for n in range(1, 12)]


Train = Callable[..., tuple[TrainingResult, CausalLM]]


@pytest.fixture
def train_tiny(tiny_source: BaseModelSource, tiny_config: TrainingConfig, encoded_rows: list[EncodedRow]) -> Train:
    """Train the tiny model on `encoded_rows` with an observer; returns the result and the family."""

    def run(
        observer: Any,
        *,
        config: TrainingConfig = tiny_config,
        rows: list[EncodedRow] = encoded_rows,
        resume_from: Path | None = None,
    ) -> tuple[TrainingResult, CausalLM]:
        family = CausalLM.load(tiny_source)
        seed_generators(config.seed)
        family.attach_adapter(config)
        trained, held_out = ([rows[row] for row in chosen] for chosen in hold_out_rows(len(rows), config))
        result = train(
            family,
            trained,
            RunIdentity(config, tiny_source.name, family.fingerprint(rows)),
            checkpoints=CheckpointFolder(Path(config.output_dir) / "checkpoints", resume_from),
            resume_from=resume_from,
            observer=observer,
            stop=observer.stop,
            held_out=held_out,
        )
        return result, family

    return run


@pytest.fixture(scope="session")
def tiny_sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a tiny random SD 1.5 as a diffusers folder."""
    return make_once("sd15", "sd15", tmp_path_factory)


@pytest.fixture(scope="session")
def tiny_sd15_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the same weights in one file of the original layout."""
    return make_once("sd15", "v1-5-pruned.safetensors", tmp_path_factory)


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_once("sdxl", "sdxl", tmp_path_factory)


@pytest.fixture(scope="session")
def tiny_sdxl_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_once("sdxl", "sdxl.safetensors", tmp_path_factory)


def make_once(kind: str, name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the model where all workers of pytest-xdist find it; the first that needs it makes it."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tiny-models"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        return folder / name if (folder / name).exists() else make_tiny(kind, folder / name)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def picture_cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Latents and text embeddings go here, not into the home folder."""
    monkeypatch.setenv("LORA_TRAINER_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture
def picture_dataset(tmp_path: Path) -> Path:
    """Seven drawn pictures of three shapes, with captions in metadata.csv."""
    folder = tmp_path / "style_train"
    draw_pictures(folder, count=7)
    return folder


def draw_pictures(
    folder: Path, *, count: int, sizes: Sequence[tuple[int, int]] = ((96, 96), (128, 72), (72, 128))
) -> None:
    """Draw discs on noise, each of another colour, place and caption."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file_name,text"]
    for number in range(count):
        width, height = sizes[number % len(sizes)]
        noise = np.random.default_rng(number).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((width, height))
        ImageDraw.Draw(picture).ellipse((8, 8, 30 + 5 * number, 60), fill=(30 * number % 256, 90, 200))
        picture.save(folder / f"{number}.png")
        rows.append(f'{number}.png,"disc number {number}' + ", on noise" * (number % 3) + '"')
    (folder / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")

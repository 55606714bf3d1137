"""A run that is stopped and goes on, and what is written read back: peft reads the adapter, our readers the exports."""

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.gpu.figures import Figure, RowResult
from benchmarks.gpu.text_models import SMALL, make_network
from benchmarks.gpu.where import Place
from pricing.training.config import TrainingConfig
from trainer.base_models.config import resolve_local_model
from trainer.base_models.transformers_quiet import peft, transformers
from trainer.commands.make_tiny_llama import write_byte_tokenizer
from trainer.families.registry import read_dataset
from trainer.formats.reading import Layout, read_lora
from trainer.formats.writing import write_lora
from trainer.stop import StopFlag, StopReason
from trainer.training.recipe import StepReport
from trainer.training.session import FinishedTraining, run_training

STEPS, STOPPED_AFTER = 12, 7


@dataclass
class Watcher:
    """Keeps the losses, and asks to stop after some steps."""

    stop: StopFlag = field(default_factory=StopFlag)
    stop_after: int | None = None
    losses: dict[int, float] = field(default_factory=dict)

    def training_started(self, *, step: int, total_steps: int) -> None: ...

    def step_done(self, report: StepReport) -> None:
        self.losses[report.step] = report.loss
        if len(self.losses) == self.stop_after:
            self.stop.request(StopReason.PREEMPTED)

    def validated(self, *, step: int, loss: float, advice: str | None) -> None: ...

    def sampled(self, *, step: int, prompt: str, sample: str) -> None: ...

    def checkpoint_saved(self, folder: Path, step: int) -> None: ...


def measure(place: Place) -> RowResult:
    with tempfile.TemporaryDirectory(prefix="lora-bench-gpu-") as name:
        folder = Path(name)
        write_model(folder / "model")
        write_rows(folder / "data")
        finished, whole = run(place, folder, folder / "whole")
        run(place, folder, folder / "broken", stop_after=STOPPED_AFTER)
        _, rest = run(place, folder, folder / "broken", resume="auto")
        off = max(abs(rest.losses[step] / whole.losses[step] - 1) for step in rest.losses)
        resumed = f"{len(rest.losses)} of {STEPS} steps after a stop"
        assert finished.adapter is not None
        return RowResult(
            "round trips",
            [
                Figure("resume: loss off", off, "of it", resumed, 1e-3),
                *judge_adapter(place, folder / "model", finished.adapter),
                *judge_exports(finished.adapter, folder),
            ],
        )


def write_model(folder: Path) -> None:
    torch.manual_seed(7)
    shape = SMALL | {"vocab_size": 257, "head_dim": 32, "hidden_size": 128}
    transformers.LlamaForCausalLM(make_network(shape)).save_pretrained(folder)
    write_byte_tokenizer(folder)


def write_rows(folder: Path) -> None:
    folder.mkdir()
    rows = [{"prompt": f"tea {number}?", "completion": "calm " * (number % 5 + 1)} for number in range(24)]
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def run(
    place: Place, folder: Path, output: Path, *, stop_after: int | None = None, resume: str = "never"
) -> tuple[FinishedTraining, Watcher]:
    """Train as `trainer train` does; returns what it made, and its losses."""
    config = TrainingConfig.model_validate(
        {
            "base_model": str(folder / "model"),
            "train_data_dir": str(folder / "data"),
            "output_dir": str(output),
            "batch_size": 4,
            "max_steps": STEPS,
            "learning_rate": 1e-3,
            "precision": place.precision,
            "save_steps": 100,
            "resume": resume,
            "seed": 3,
        }
    )
    source, watcher = resolve_local_model(config.base_model), Watcher(stop_after=stop_after)
    dataset = read_dataset(config, source)
    return run_training(config, source, dataset, observer=watcher, stop=watcher.stop), watcher


def judge_adapter(place: Place, model: Path, adapter: Path) -> list[Figure]:
    """Let plain peft put the adapter on the base model, and see that it answers otherwise than the base."""
    base = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).to(place.device)
    ids = torch.arange(20, 60, device=place.device)[None]
    with torch.no_grad():
        before = base(ids).logits
        after = peft.PeftModel.from_pretrained(base, adapter.parent)(ids).logits
    moved = float((after - before).abs().max())
    return [Figure("adapter in plain peft: logits move", moved, "", "more than nothing", 1e-6, "higher")]


def judge_exports(adapter: Path, folder: Path) -> list[Figure]:
    figures = []
    written, _ = read_lora(adapter)
    for layout in (Layout.KOHYA, Layout.DIFFUSERS):
        try:
            file = write_lora(folder / f"{layout}.safetensors", written, layout)
        except Exception as error:  # noqa: BLE001 - a layout may have no names for language models
            figures.append(Figure(f"export to {layout}", 0.0, "", str(error)[:80]))
            continue
        read, _ = read_lora(file)
        ours, theirs = ({layer.path: layer for layer in of.layers} for of in (written, read))
        off = max(
            float((ours[path].up @ ours[path].down - theirs[path].up @ theirs[path].down).abs().max()) for path in ours
        )
        figures.append(Figure(f"export to {layout}, read back: off", off, "", f"{len(ours)} layers", 1e-6))
    return figures

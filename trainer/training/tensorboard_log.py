"""`log_to: tensorboard`: what the console shows, for TensorBoard as well."""

import importlib
from pathlib import Path
from typing import Any

from trainer.errors import BadInput
from trainer.training.recipe import Observer, StepReport


class TensorBoardLog:
    """Passes everything on, and writes losses, learning rate, peak memory and samples to event files in `folder`."""

    def __init__(self, observer: Observer, folder: Path) -> None:
        try:
            board = importlib.import_module("torch.utils.tensorboard")
        except ImportError as error:
            cure = "TensorBoard is not installed; run `pip install tensorboard`, or leave log_to out"
            raise BadInput("log_to", cure) from error
        self._observer, self._writer = observer, board.SummaryWriter(str(folder))

    def training_started(self, *, step: int, total_steps: int) -> None:
        self._observer.training_started(step=step, total_steps=total_steps)

    def step_done(self, report: StepReport) -> None:
        self._observer.step_done(report)
        self._write("train/loss", report.loss, report.step)
        self._write("train/learning_rate", report.learning_rate, report.step)
        self._write("train/tokens", report.tokens, report.step)
        self._write("memory/peak_gib", report.peak_memory_bytes / 2**30, report.step)
        if report.step == report.total_steps:
            self._writer.flush()

    def validated(self, *, step: int, loss: float, advice: str | None) -> None:
        self._observer.validated(step=step, loss=loss, advice=advice)
        self._write("validation/loss", loss, step)
        self._writer.flush()

    def sampled(self, *, step: int, prompt: str, sample: str) -> None:
        self._observer.sampled(step=step, prompt=prompt, sample=sample)
        self._writer.add_text(f"sample/{prompt}", sample, step)

    def checkpoint_saved(self, folder: Path, step: int) -> None:
        self._observer.checkpoint_saved(folder, step)
        self._writer.flush()

    def _write(self, name: str, value: Any, step: int) -> None:
        self._writer.add_scalar(name, value, step)

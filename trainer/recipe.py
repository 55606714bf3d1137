"""The training recipe, for every family and for both ways of running: read it from top to bottom."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from trainer.checkpoint import CheckpointFolder, read_checkpoint
from trainer.errors import LossNotFinite, OutOfMemory
from trainer.families.family import Family
from trainer.learning_rate import compute_learning_rate
from trainer.peak_memory import read_peak_memory_bytes
from trainer.step_plan import StepPlan
from trainer.stop import StopFlag, StopReason
from trainer.training_state import RunIdentity, TrainingState

MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class StepReport:
    """One step done. `step` counts from 1; `tokens` are the non-padding tokens of this step; loss in nats."""

    step: int
    total_steps: int
    epoch: int
    loss: float
    tokens: int
    peak_memory_bytes: int


class Observer(Protocol):
    """Who wants to know how the run goes: a console, a broker."""

    def training_started(self, *, step: int, total_steps: int) -> None: ...

    def step_done(self, report: StepReport) -> None: ...

    def checkpoint_saved(self, folder: Path, step: int) -> None: ...


@dataclass(frozen=True)
class TrainingResult:
    """How it ended: `stopped` is None if every step was done; `checkpoint` is the last one, written or resumed from."""

    steps: int
    tokens: int
    stopped: StopReason | None
    checkpoint: Path | None


def train(
    family: Family[Any],
    examples: Sequence[Any],
    identity: RunIdentity,
    *,
    checkpoints: CheckpointFolder,
    resume_from: Path | None,
    observer: Observer,
    stop: StopFlag,
) -> TrainingResult:
    """Train the adapter until every step is done or somebody asks to stop, in which case a checkpoint is written.

    The family's adapter is attached and the generators are seeded already. Resuming from a checkpoint gives exactly
    the losses of a run that was never stopped, on the same machine with the same number of threads.
    Raises: LossNotFinite, OutOfMemory, CheckpointUnusable.
    """
    config = identity.config
    plan = StepPlan(len(examples), config.batch_size, config.epochs, config.seed)
    trainable = [parameter for parameter in family.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=config.learning_rate, weight_decay=0.0)
    state = TrainingState(family, optimizer, identity)
    if resume_from is not None:
        state.restore(read_checkpoint(resume_from))
    saved_step, checkpoint = state.counters.step, resume_from
    observer.training_started(step=saved_step, total_steps=plan.total_steps)

    family.model.train()
    for step in range(saved_step, plan.total_steps):
        if stop.reason is not None:
            break
        batch = family.collate([examples[row] for row in plan.rows_of(step)])
        set_learning_rate(optimizer, compute_learning_rate(config, step, plan.total_steps))
        loss = take_step(family, batch, optimizer, trainable, step=step + 1)
        if not math.isfinite(loss):
            raise LossNotFinite(step + 1, loss)
        state.counters.count_step(loss=loss, tokens=batch.tokens, starts_epoch=plan.starts_epoch(step))
        epoch, peak = plan.epoch_of(step), read_peak_memory_bytes()
        observer.step_done(StepReport(step + 1, plan.total_steps, epoch, loss, batch.tokens, peak))
        if (step + 1) % config.save_steps == 0:
            saved_step, checkpoint = step + 1, save_checkpoint(state, checkpoints, observer)

    counters = state.counters
    stopped = stop.reason if counters.step < plan.total_steps else None
    if stopped not in {None, StopReason.CANCEL} and counters.step > saved_step:
        checkpoint = save_checkpoint(state, checkpoints, observer)
    return TrainingResult(counters.step, counters.tokens, stopped, checkpoint)


def take_step(
    family: Family[Any], batch: Any, optimizer: torch.optim.Optimizer, trainable: list[torch.nn.Parameter], *, step: int
) -> float:
    """Forward, backward, update; returns the loss of the batch. A loss that is not finite changes no weight.

    Raises: OutOfMemory.
    """
    try:
        optimizer.zero_grad()
        loss = family.compute_loss(batch)
        value = float(loss.detach())
        if math.isfinite(value):
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trainable, MAX_GRADIENT_NORM)
            optimizer.step()
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise OutOfMemory(f"step {step}: {error}") from error
        raise
    return value


def is_out_of_memory(error: Exception) -> bool:
    """On the GPU torch has a type for it, on the CPU only a message."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def save_checkpoint(state: TrainingState, checkpoints: CheckpointFolder, observer: Observer) -> Path:
    folder = checkpoints.save(state.capture())
    observer.checkpoint_saved(folder, state.counters.step)
    return folder

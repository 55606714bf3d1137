"""The training recipe, for every family and for both ways of running: read it from top to bottom."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch

from pricing.training.caption_dropout import CaptionDropout, plan_caption_dropout
from pricing.training.step_plan import StepPlan, plan_steps
from trainer.families.family import Family
from trainer.machine.peak_memory import read_peak_memory_bytes
from trainer.several_devices.processes import SINGLE_PROCESS, Processes
from trainer.stop import StopFlag, StopReason
from trainer.training.arrivals import Arrivals, TakenStep
from trainer.training.checkpoint import CheckpointFolder, read_checkpoint
from trainer.training.evaluation import evaluating, find_overfitting, measure_loss
from trainer.training.learning_rate import compute_learning_rate
from trainer.training.optimizer_step import Stepper, create_scaler
from trainer.training.optimizers import create_optimizer, use_final_weights, use_training_weights
from trainer.training.state import RunIdentity, TrainingState


@dataclass(frozen=True)
class StepReport:
    """One step done. `step` counts from 1; `tokens` are the non-padding tokens of this step; loss in nats."""

    step: int
    total_steps: int
    epoch: int
    loss: float
    tokens: int
    peak_memory_bytes: int
    learning_rate: float = 0.0


class Observer(Protocol):
    """Who wants to know how the run goes: a console, a broker."""

    def training_started(self, *, step: int, total_steps: int) -> None: ...

    def step_done(self, report: StepReport) -> None: ...

    def validated(self, *, step: int, loss: float, advice: str | None) -> None:
        """Hear of the `loss` of the held-out rows, with `advice` where it shows overfitting."""

    def sampled(self, *, step: int, prompt: str, sample: str) -> None:
        """Hear of a `sample`: the text, or the name of the file with the picture."""

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
    held_out: Sequence[Any] = (),
    row_numbers: Sequence[int] = (),
    processes: Processes = SINGLE_PROCESS,
    keeps_gradients: bool = False,
) -> TrainingResult:
    """Train the adapter until every step is done or somebody asks to stop, in which case a checkpoint is written.

    The family's adapter is attached and the generators are seeded already. Resuming from a checkpoint gives exactly
    the losses of a run that was never stopped, on the same machine with the same number of threads. The loss of the
    `held_out` examples is measured after every epoch. `row_numbers` are those of the examples in the data, for messages
    (by default they count from 1). Of several processes only the first writes anything. `keeps_gradients` as `Stepper`
    has it.
    Raises: LossNotFinite, OutOfMemory, CheckpointUnusable, BadInput.
    """
    config = identity.config
    plan = plan_steps(len(examples), config, groups=family.group(examples))
    dropout = plan_caption_dropout(len(examples), config)
    row_numbers = row_numbers or range(1, len(examples) + 1)
    trainable = [parameter for parameter in family.model.parameters() if parameter.requires_grad]
    optimizer = create_optimizer(config, trainable)
    scaler = create_scaler(family.model)
    stepper = Stepper(family, optimizer, trainable, config.batch_size, scaler, processes, config.seed, keeps_gradients)
    state = TrainingState(family, optimizer, identity, scaler)
    if resume_from is not None:
        state.restore(read_checkpoint(resume_from))
    saved_step, checkpoint = state.counters.step, resume_from
    arrivals = Arrivals(partial(report_step, state, plan, observer))
    observer.training_started(step=saved_step, total_steps=plan.total_steps)

    family.model.train()
    use_training_weights(optimizer)
    for step in range(saved_step, plan.total_steps):
        if processes.agree_on_stop(stop) is not None:
            break
        rows = plan.rows_of(step)
        set_learning_rate(optimizer, compute_learning_rate(config, step, plan.total_steps))
        numbers = [row_numbers[row] for row in rows]
        chosen = choose_examples(examples, rows, dropout, plan.epoch_of(step))
        arrivals.add(stepper.take_step(chosen, step=step + 1, rows=numbers))
        is_last, saves = step + 1 == plan.total_steps, (step + 1) % config.save_steps == 0
        is_judged = bool(held_out) and (plan.ends_epoch(step) or is_last)
        if is_judged or saves or is_last:
            arrivals.wait_for_all()
        if is_judged:
            validate(state, held_out, observer)
        if not processes.is_first:
            continue
        if config.sample_prompts and (saves or is_last):
            draw_samples(state, checkpoints.folder.parent / "samples", observer)
        if saves:
            saved_step, checkpoint = step + 1, save_checkpoint(state, checkpoints, observer)

    arrivals.wait_for_all()
    counters = state.counters
    stopped = stop.reason if counters.step < plan.total_steps else None
    if stopped not in {None, StopReason.CANCEL} and counters.step > saved_step and processes.is_first:
        checkpoint = save_checkpoint(state, checkpoints, observer)
    use_final_weights(optimizer)
    return TrainingResult(counters.step, counters.tokens, stopped, checkpoint)


def report_step(state: TrainingState, plan: StepPlan, observer: Observer, taken: TakenStep) -> None:
    """Count a step whose loss has come, and tell the observer. Raises: LossNotFinite."""
    config, step, loss = state.identity.config, taken.step - 1, taken.read_loss()
    state.counters.count_step(loss=loss, tokens=taken.tokens, starts_epoch=plan.starts_epoch(step))
    rate = compute_learning_rate(config, step, plan.total_steps)
    epoch, peak = plan.epoch_of(step), read_peak_memory_bytes()
    observer.step_done(StepReport(taken.step, plan.total_steps, epoch, loss, taken.tokens, peak, rate))


def choose_examples(examples: Sequence[Any], rows: Sequence[int], dropout: CaptionDropout, epoch: int) -> list[Any]:
    """Choose the examples of a step; those whose caption this epoch drops (pictures only) come without it."""
    return [examples[row].without_caption() if dropout.drops(row, epoch) else examples[row] for row in rows]


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def validate(state: TrainingState, held_out: Sequence[Any], observer: Observer) -> None:
    family, losses = state.family, state.counters.validation_losses
    with evaluating(family.model, state.optimizer):
        losses.append(measure_loss(family, held_out, batch_size=state.identity.config.batch_size))
    observer.validated(step=state.counters.step, loss=losses[-1], advice=find_overfitting(losses))


def draw_samples(state: TrainingState, folder: Path, observer: Observer) -> None:
    """Answer every prompt, with the same seed each time, so that the samples of a run can be compared."""
    config, step = state.identity.config, state.counters.step
    with evaluating(state.family.model, state.optimizer):
        for number, prompt in enumerate(config.sample_prompts):
            place = folder / f"step-{step:08d}-{number}"
            sample = state.family.sample(prompt, seed=config.seed, place=place)
            observer.sampled(step=step, prompt=prompt, sample=sample)


def save_checkpoint(state: TrainingState, checkpoints: CheckpointFolder, observer: Observer) -> Path:
    folder = checkpoints.save(state.capture())
    observer.checkpoint_saved(folder, state.counters.step)
    return folder

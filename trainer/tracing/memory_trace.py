"""An optimizer step of our own trainer without a GPU and without weights: what it allocates and frees, in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pricing.training.config import TrainingConfig
from trainer.tracing.caching_allocator import MemoryEvent
from trainer.tracing.storage_tape import StorageTape
from trainer.training.optimizer_step import Stepper, create_scaler
from trainer.training.optimizers import create_optimizer


@dataclass(frozen=True)
class TracedStep:
    """A family with its adapter on, and a batch that is ready for it, on the device that is traced.

    `tensors` are those of the batch. `chosen` places carry loss.
    """

    family: Any
    config: TrainingConfig
    batch: Any
    tensors: Sequence[torch.Tensor]
    chosen: int = 0

    @property
    def model(self) -> torch.nn.Module:
        model: torch.nn.Module = self.family.model
        return model

    def collate(self, _: Any) -> Any:
        return self.batch

    def compute_loss(self, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = self.family.compute_loss(batch)
        return loss


def trace_step(traced: TracedStep, device: str) -> list[MemoryEvent]:
    """Trace a step as the recipe takes it, which is not the first: the optimizer has its moments already.

    Weights, adapter and moments come first, then the batch, then forward, loss, backward, clipping and the optimizer.
    Whoever calls chooses how attention is computed.
    """
    model, config = traced.model, traced.config
    model.train()
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = create_optimizer(config, trainable)
    stepper = Stepper(
        traced,  # type: ignore[arg-type]  # a stepper asks a family for no more than this
        optimizer,
        trainable,
        config.batch_size,
        create_scaler(model),
    )
    tape = StorageTape(device, chosen=traced.chosen)
    tape.hold([*model.parameters(), *model.buffers()])
    with tape:
        _make_moments(optimizer, trainable)
        tape.hold(traced.tensors)
        stepper.take_step([None], step=1)
    return list(tape.events)  # what ends with this function is no part of a run


def _make_moments(optimizer: torch.optim.Optimizer, trainable: Sequence[torch.nn.Parameter]) -> None:
    for parameter in trainable:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()


def count_resident(traced: TracedStep) -> int:
    """Count the bytes that stay for the whole run: weights, adapter, gradients of the adapter and its two moments."""
    parameters = list(traced.model.parameters())
    trained = sum(parameter.nbytes for parameter in parameters if parameter.requires_grad)
    return sum(parameter.nbytes for parameter in parameters) + 3 * trained

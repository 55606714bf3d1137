"""Two optimizer steps of our own trainer without a GPU and without weights: what they allocate and free, in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pricing.training.config import TrainingConfig
from trainer.tracing.caching_allocator import MemoryEvent
from trainer.tracing.storage_tape import StorageTape
from trainer.training.optimizer_step import Stepper, create_scaler
from trainer.training.optimizers import create_optimizer

# The first makes the optimizer's moments, so that the second has them beside all else.
STEPS = 2


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


def trace_steps(traced: TracedStep, device: str) -> list[MemoryEvent]:
    """Trace the steps as the recipe takes them: forward, loss, backward, clipping, optimizer.

    Weights and adapter come first, then the batch. Whoever calls chooses how attention is computed.
    """
    model, config = traced.model, traced.config
    model.train()
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    stepper = Stepper(
        traced,  # type: ignore[arg-type]  # a stepper asks a family for no more than this
        create_optimizer(config, trainable),
        trainable,
        config.batch_size,
        create_scaler(model),
    )
    tape = StorageTape(device, chosen=traced.chosen)
    tape.hold([*model.parameters(), *model.buffers()])
    tape.hold(traced.tensors)
    with tape:
        for step in range(STEPS):
            stepper.take_step([None], step=step + 1)
    return list(tape.events)  # what ends with this function is no part of a run


def count_resident(traced: TracedStep) -> int:
    """Count the bytes that stay for the whole run: weights, adapter, gradients of the adapter and its two moments."""
    parameters = list(traced.model.parameters())
    trained = sum(parameter.nbytes for parameter in parameters if parameter.requires_grad)
    return sum(parameter.nbytes for parameter in parameters) + 3 * trained

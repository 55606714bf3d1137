"""One optimizer step: the batches of a step forward and backward, their loss as one mean, then the update."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from trainer.errors import OutOfMemory
from trainer.families.family import Family
from trainer.several_devices.processes import SINGLE_PROCESS, Processes
from trainer.training.arrivals import LossOnTheWay, TakenStep

MAX_GRADIENT_NORM = 1.0


@dataclass
class Stepper:
    """Takes steps with one optimizer. `scaler` scales the loss up for fp16, and does nothing otherwise.

    With `keeps_gradients` they are added up where they lie from the first step on, as replayed CUDA graphs need it: a
    gradient that was taken over from a graph would be written again by its next replay.
    """

    family: Family[Any]
    optimizer: torch.optim.Optimizer
    trainable: list[torch.nn.Parameter]
    batch_size: int
    scaler: torch.amp.GradScaler
    processes: Processes = SINGLE_PROCESS
    seed: int = 0
    keeps_gradients: bool = False

    def take_step(self, examples: Sequence[Any], *, step: int, rows: Sequence[int] = ()) -> TakenStep:
        """Take one step; its loss, in nats, and its tokens are in all processes the same.

        A loss that is there at once and is not finite changes no weight; one that comes from a GPU is found not to be
        when it is read, before anything is written. `rows` are the numbers of the examples, for that message.

        Raises: OutOfMemory, LossNotFinite.
        """
        with telling_out_of_memory(f"step {step}"):
            piece_size = self.processes.choose_batch_size(self.batch_size, len(examples))
            chunks = cut_into_batches(examples, self.batch_size)
            batches = [batch for chunk in chunks for batch in self._collate(chunk, piece_size)]
            self._clear_gradients()
            with self.processes.own_randomness(seed=self.seed, step=step):
                loss = self.processes.add_up_loss(self._accumulate(batches))
            tokens = sum(batch.tokens for batch in batches)
            taken = TakenStep(step, tokens, LossOnTheWay(loss), rows)
            if loss.device.type == "cpu":
                taken.read_loss()
            self.processes.add_gradients(self.trainable)
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.trainable, MAX_GRADIENT_NORM)
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return taken

    def _clear_gradients(self) -> None:
        if self.keeps_gradients:
            clear_gradients(self.trainable)
        else:
            self.optimizer.zero_grad()

    def _collate(self, chunk: Sequence[Any], piece_size: int) -> Iterator[Any]:
        """Yield a batch, or its pieces where several processes share it; each piece draws as the whole batch would."""
        state = torch.get_rng_state()
        for piece in cut_into_batches(chunk, piece_size):
            torch.set_rng_state(state)
            yield self.family.collate(piece)

    def _accumulate(self, batches: Sequence[Any]) -> torch.Tensor:
        """Add up gradients, each batch's mean loss weighted, so that the gradient is that of one large batch."""
        whole = sum(batch.weight for batch in batches)
        losses = []
        for batch in self.processes.share(batches):
            loss = self.family.compute_loss(batch)
            if len(batches) > 1:
                loss = loss * (batch.weight / whole)
            self.scaler.scale(loss).backward()
            losses.append(loss.detach())
        return sum(losses[1:], losses[0]) if losses else torch.zeros(())


def clear_gradients(trainable: Sequence[torch.nn.Parameter]) -> None:
    """Set gradients to zero where they lie, and make those that are not there yet."""
    for parameter in trainable:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        else:
            parameter.grad.zero_()


def create_scaler(model: torch.nn.Module) -> torch.amp.GradScaler:
    """Create the scaler, enabled where the frozen base is in fp16, whose small gradients would vanish."""
    is_half = any(parameter.dtype is torch.float16 for parameter in model.parameters())
    device = next(model.parameters()).device.type
    return torch.amp.GradScaler(device, enabled=is_half)


def cut_into_batches(examples: Sequence[Any], batch_size: int) -> list[Sequence[Any]]:
    return [examples[start : start + batch_size] for start in range(0, len(examples), batch_size)]


class telling_out_of_memory(AbstractContextManager[None]):  # noqa: N801 - read as a with-clause
    """Turns torch's ways of running out of memory into ours. Raises: OutOfMemory."""

    def __init__(self, during: str) -> None:
        self._during = during

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, RuntimeError | MemoryError) and is_out_of_memory(error):
            raise OutOfMemory(f"{self._during}: {error}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out: on the GPU torch has a type for it, on the CPU only a message."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)

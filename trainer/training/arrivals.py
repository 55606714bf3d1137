"""Steps whose loss is still on its way from the GPU: training goes on without waiting for it.

To read a loss at once holds Python back until the GPU has done all that it was told, and leaves the GPU idle until it
is told more. So a loss is copied beside the next step and read when it has come, two steps late at most. On a CPU it is
there at once.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from trainer.errors import LossNotFinite

MOST_ON_THE_WAY = 2


class LossOnTheWay:
    """A loss that was computed on a device, as a number of the CPU as soon as it has come."""

    def __init__(self, loss: torch.Tensor) -> None:
        self._loss, self._arrival = loss, None
        if loss.device.type == "cuda":
            self._loss = torch.empty_like(loss, device="cpu", pin_memory=True).copy_(loss, non_blocking=True)
            self._arrival = torch.cuda.Event()
            self._arrival.record()

    def has_arrived(self) -> bool:
        return self._arrival is None or self._arrival.query()

    def read(self) -> float:
        """Read it, in nats; waits for it where it has not come yet."""
        if self._arrival is not None:
            self._arrival.synchronize()
        return float(self._loss)


@dataclass(frozen=True)
class TakenStep:
    """A step that was taken. `step` counts from 1; `rows` are the numbers of its examples, for messages."""

    step: int
    tokens: int
    loss: LossOnTheWay
    rows: Sequence[int] = ()

    def read_loss(self) -> float:
        """Read the loss. Raises: LossNotFinite."""
        loss = self.loss.read()
        if not math.isfinite(loss):
            raise LossNotFinite(self.step, loss, self.rows)
        return loss


class Arrivals:
    """Steps in their order, each told of once its loss has come."""

    def __init__(self, tell: Callable[[TakenStep], None]) -> None:
        self._tell = tell
        self._on_the_way: deque[TakenStep] = deque()

    def add(self, taken: TakenStep) -> None:
        """Add a step; tell of those that have come. Raises: LossNotFinite."""
        self._on_the_way.append(taken)
        while self._on_the_way and (len(self._on_the_way) > MOST_ON_THE_WAY or self._on_the_way[0].loss.has_arrived()):
            self._tell(self._on_the_way.popleft())

    def wait_for_all(self) -> None:
        """Tell of every step: before its state is written, judged or drawn with. Raises: LossNotFinite."""
        while self._on_the_way:
            self._tell(self._on_the_way.popleft())

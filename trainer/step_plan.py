"""Which rows each step trains on: a pure function of the step, so a resumed run needs no other data position."""

import random
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class StepPlan:
    """Every row once in every epoch, in an order drawn from seed and epoch; the last batch of an epoch may be short.

    Steps count from 0, epochs from 1.
    """

    rows: int
    batch_size: int
    epochs: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.rows // self.batch_size)

    @property
    def total_steps(self) -> int:
        return self.steps_per_epoch * self.epochs

    def epoch_of(self, step: int) -> int:
        return step // self.steps_per_epoch + 1

    def starts_epoch(self, step: int) -> bool:
        return step % self.steps_per_epoch == 0

    def rows_of(self, step: int) -> list[int]:
        order = shuffle_rows(self.rows, self.seed, self.epoch_of(step))
        start = step % self.steps_per_epoch * self.batch_size
        return order[start : start + self.batch_size]


@lru_cache(maxsize=2)  # the epoch in hand; shuffling anew for each step would show on large data
def shuffle_rows(rows: int, seed: int, epoch: int) -> list[int]:
    order = list(range(rows))
    random.Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311 - an order, not a secret
    return order

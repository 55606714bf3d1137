"""Which rows each step trains on: a pure function of the step, so that a resumed run needs no other data position, and
the quote counts the very rows that will be trained.
"""

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pricing.training.config import TrainingConfig


@dataclass(frozen=True)
class StepPlan:
    """Every row once in every epoch, in an order drawn from seed and epoch; the last step of an epoch may be short.

    `batch_size` is the rows of one optimizer step, accumulation included. Steps count from 0, epochs from 1.
    `max_steps` cuts the run short. Rows of one group (`groups` names each row's) share steps as far as they go; what is
    left over is mixed, so that grouping changes no number of steps. Which rows a step has does not depend on how they
    are cut into batches, so a run that goes on with smaller ones trains the rows that were quoted.
    """

    rows: int
    batch_size: int
    epochs: int
    seed: int
    max_steps: int | None = None
    groups: tuple[Hashable, ...] = ()

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.rows // self.batch_size)

    @property
    def total_steps(self) -> int:
        steps = self.steps_per_epoch * self.epochs
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def epoch_of(self, step: int) -> int:
        return step // self.steps_per_epoch + 1

    def starts_epoch(self, step: int) -> bool:
        return step % self.steps_per_epoch == 0

    def ends_epoch(self, step: int) -> bool:
        return (step + 1) % self.steps_per_epoch == 0

    def order_of(self, epoch: int) -> list[int]:
        """Order all rows as the steps of an epoch take them."""
        if self.groups:
            return order_by_group(self.groups, self.batch_size, self.seed, epoch)
        return shuffle_rows(self.rows, self.seed, epoch)

    def rows_of(self, step: int) -> list[int]:
        start = step % self.steps_per_epoch * self.batch_size
        return self.order_of(self.epoch_of(step))[start : start + self.batch_size]

    def rows_of_last_epoch(self) -> list[int]:
        """List the rows of the steps of an epoch that `max_steps` cuts short; none where every epoch is whole."""
        whole_epochs, rest = divmod(self.total_steps, self.steps_per_epoch)
        return self.order_of(whole_epochs + 1)[: rest * self.batch_size] if rest else []

    def count_rows(self) -> int:
        """Count the rows of all steps."""
        whole_epochs, rest = divmod(self.total_steps, self.steps_per_epoch)
        return whole_epochs * self.rows + rest * self.batch_size

    def count_micro_batches(self, size: int) -> int:
        """Count the micro-batches of all steps; `size` in rows."""
        whole_epochs, rest = divmod(self.total_steps, self.steps_per_epoch)
        last_step = self.rows - (self.steps_per_epoch - 1) * self.batch_size
        whole_step = -(-self.batch_size // size)
        return whole_epochs * ((self.steps_per_epoch - 1) * whole_step + -(-last_step // size)) + rest * whole_step

    def count_epochs(self) -> int:
        """Count the epochs, one that is cut short among them."""
        return -(-self.total_steps // self.steps_per_epoch)

    def count_tokens(self, row_lengths: Sequence[int]) -> int:
        """Count the tokens of all steps, exactly; `row_lengths` in tokens, in the order of the data."""
        whole_epochs = self.total_steps // self.steps_per_epoch
        return whole_epochs * sum(row_lengths) + sum(row_lengths[row] for row in self.rows_of_last_epoch())


def plan_steps(rows: int, config: TrainingConfig, *, groups: Sequence[Hashable] = ()) -> StepPlan:
    """Plan the steps over the rows that train (held-out rows are not among them)."""
    grouped = tuple(groups) if len(set(groups)) > 1 else ()
    return StepPlan(rows, config.rows_per_step, config.epochs, config.seed, config.max_steps, grouped)


@lru_cache(maxsize=2)  # the epoch in hand; shuffling anew for each step would show on large data
def shuffle_rows(rows: int, seed: int, epoch: int) -> list[int]:
    order = list(range(rows))
    random.Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311 - an order, not a secret
    return order


@lru_cache(maxsize=2)
def order_by_group(groups: tuple[Hashable, ...], size: int, seed: int, epoch: int) -> list[int]:
    """Deal the shuffled rows into steps of `size` rows of one group; leftovers make mixed ones, the short one last.

    A mixed step has its rows group by group, so that they make few mixed batches.
    """
    waiting: dict[Hashable, list[int]] = {}
    steps: list[list[int]] = []
    for row in shuffle_rows(len(groups), seed, epoch):
        members = waiting.setdefault(groups[row], [])
        members.append(row)
        if len(members) == size:
            steps.append(waiting.pop(groups[row]))
    rest = [row for members in waiting.values() for row in members]
    cut = len(rest) // size * size
    steps += [rest[start : start + size] for start in range(0, cut, size)]
    random.Random(f"{seed}/{epoch}/batches").shuffle(steps)  # noqa: S311 - an order, not a secret
    return [row for step in (*steps, rest[cut:]) for row in step]


def hold_out_rows(rows: int, config: TrainingConfig) -> tuple[list[int], list[int]]:
    """Draw by the seed the rows that train and those held out for validation; indexes, each ascending.

    At least one row is held out where a split is asked for, and at least one trains.
    """
    if not config.validation_split or rows < 2:
        return list(range(rows)), []
    count = min(max(1, round(rows * config.validation_split)), rows - 1)
    drawn = random.Random(f"{config.seed}/validation").sample(range(rows), count)  # noqa: S311 - no secret
    held_out = set(drawn)
    return [row for row in range(rows) if row not in held_out], sorted(held_out)


def hold_out_copies(sources: Sequence[Hashable | None], config: TrainingConfig) -> tuple[list[int], list[int]]:
    """Hold out as `hold_out_rows` does, where several rows may be copies of one source, as a picture's repeats are.

    All copies are on one side, so that no held-out picture is learnt; of those held out one is looked at. Rows without
    a source always train.
    """
    distinct = [source for source in dict.fromkeys(sources) if source is not None]
    _, chosen = hold_out_rows(len(distinct), config)
    held_out = {distinct[number] for number in chosen}
    trained = [row for row, source in enumerate(sources) if source not in held_out]
    first_rows = {source: row for row, source in reversed(list(enumerate(sources)))}
    return trained, sorted(first_rows[source] for source in held_out)

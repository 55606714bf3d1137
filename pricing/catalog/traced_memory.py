"""What a step of our own trainer needs beside what stays, by batch and length: a table, traced with the profile.

`trainer/tracing` makes it; estimates read between its points.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Grid = tuple[tuple[int, ...], ...]
TracedVariant = Literal["lora", "dora"]


class TracedBytes(BaseModel):
    """Bytes of one method, a row for each number of samples, a column for each size of a sample.

    `bits` of the numbers that the base computes in (a product with packed weights keeps what another does);
    `adapts_all`, `checkpointing` as of a method; `variant` of the adapter. `allocated` is what a step has in use at its
    peak beside weights, adapter, gradients and the optimizer's moments; `reserved` what PyTorch's allocator holds of
    the card for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    bits: Literal[16, 32]
    adapts_all: bool = False
    checkpointing: bool = False
    variant: TracedVariant = "lora"
    allocated: Grid
    reserved: Grid


class TracedMemory(BaseModel):
    """The tables of a base model on one grid: `samples` in a micro-batch, `positions` of each."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    samples: tuple[int, ...] = Field(min_length=2)
    positions: tuple[int, ...] = Field(min_length=2)
    methods: tuple[TracedBytes, ...]

    @model_validator(mode="after")
    def _has_whole_grids(self) -> "TracedMemory":
        grids = [grid for method in self.methods for grid in (method.allocated, method.reserved)]
        if any(len(grid) != len(self.samples) or {len(row) for row in grid} != {len(self.positions)} for grid in grids):
            raise ValueError("a table has a row for each number of samples, and a column for each size")
        return self

    def find(
        self, *, bits: int, adapts_all: bool, checkpointing: bool, variant: TracedVariant = "lora"
    ) -> TracedBytes | None:
        """Find the table of a method; None where it was not traced."""
        return self._by_method.get((bits, adapts_all, checkpointing, variant))

    @cached_property
    def _by_method(self) -> dict[tuple[int, bool, bool, TracedVariant], TracedBytes]:
        return {(each.bits, each.adapts_all, each.checkpointing, each.variant): each for each in self.methods}

    def interpolate(self, grid: Grid, samples: float, positions: float) -> float:
        """Read a grid between its points, beyond them along its last two, and before them at its first.

        A step's bytes grow with samples, with positions and with both together, which is what bilinear reading gives.
        """
        row, down = _find_place(self.samples, samples)
        column, along = _find_place(self.positions, positions)
        above, below = grid[row - 1], grid[row]
        upper = above[column - 1] + along * (above[column] - above[column - 1])
        lower = below[column - 1] + along * (below[column] - below[column - 1])
        return upper + down * (lower - upper)


def _find_place(points: Sequence[int], at: float) -> tuple[int, float]:
    """Find the point after which it is read, and how far it lies from the one before, as a share of their distance."""
    at = max(at, points[0])
    place = min(bisect_right(points, at), len(points) - 1)
    left = points[place - 1]
    return place, (at - left) / (points[place] - left)

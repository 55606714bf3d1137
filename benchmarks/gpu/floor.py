"""The floor of a step: its arithmetic at the rate of large products here, its bytes at the rate of large copies."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.figures import Figure, RowResult
from benchmarks.gpu.where import Place

WIDTH, REHEARSED_WIDTH = 8192, 256
COPIED_BYTES, REHEARSED_BYTES = 2**31, 2**22
SECONDS = 1.0


@dataclass(frozen=True)
class Floor:
    """Rates as they were measured here: FLOP/s of products in 16 bit, bytes/s read and written."""

    flops: float
    bandwidth: float

    def compute_seconds(self, flops: float, moved_bytes: float) -> float:
        """Compute the least seconds of a step: arithmetic and memory may go side by side."""
        return max(flops / self.flops, moved_bytes / self.bandwidth)


def measure_floor(place: Place, seconds: float = SECONDS) -> Floor:
    width = place.pick(WIDTH, REHEARSED_WIDTH)
    left, right = (torch.randn(width, width, device=place.device, dtype=place.dtype) for _ in range(2))
    product = torch.empty_like(left)
    product_seconds = place.measure(lambda: torch.mm(left, right, out=product), seconds=seconds)
    source = torch.zeros(place.pick(COPIED_BYTES, REHEARSED_BYTES), dtype=torch.uint8, device=place.device)
    target = torch.empty_like(source)
    copy_seconds = place.measure(lambda: target.copy_(source), seconds=seconds)
    return Floor(2 * width**3 / product_seconds, 2 * source.nbytes / copy_seconds)


def measure(place: Place) -> RowResult:
    floor = measure_floor(place)
    return RowResult(
        "machine",
        [
            Figure("products in 16 bit", floor.flops / 1e12, "TFLOP/s", place.name),
            Figure("memory, read and written", floor.bandwidth / 1e9, "GB/s", place.name),
        ],
    )


def count_flops(act: Callable[[], None]) -> float:
    """Count the arithmetic of one act, by the operators that it calls."""
    with FlopCounterMode(display=False) as counter:
        act()
    return float(counter.get_total_flops())


def count_moved_bytes(model: torch.nn.Module) -> float:
    """Count the bytes that any step moves: each weight read forward and back; matrices, gradients and moments of the
    adapter read and written once.
    """
    frozen = sum(parameter.nbytes for parameter in model.parameters() if not parameter.requires_grad)
    trained = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    return float(2 * frozen + 8 * trained)

"""Where the rows run: a GPU in full shapes, or this CPU in shrunken ones, to have every line run once."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from pricing.catalog.driver_names import find_sku
from trainer.base_models.number_format import choose_auto_precision


@dataclass(frozen=True)
class Place:
    """The device of a run. `is_rehearsal`: shapes are shrunk, and no figure means anything."""

    device: torch.device
    is_rehearsal: bool

    @property
    def name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu, rehearsed"

    @property
    def precision(self) -> str:
        """The 16 bit that the trainer takes here by itself."""
        return choose_auto_precision() if self.device.type == "cuda" else "bf16"

    @property
    def dtype(self) -> torch.dtype:
        return torch.float16 if self.precision == "fp16" else torch.bfloat16

    @property
    def gpu(self) -> str:
        """The catalogue's name of the GPU, else the driver's."""
        if self.device.type != "cuda":
            return "cpu"
        return find_sku(self.name) or self.name

    def pick(self, full: int, rehearsed: int) -> int:
        return rehearsed if self.is_rehearsal else full

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def forget(self) -> None:
        """Give memory back, and begin a new peak."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def read_peak_gib(self) -> float:
        """Read the peak of the bytes in use since `forget`; 0 on a CPU."""
        return torch.cuda.max_memory_allocated(self.device) / 2**30 if self.device.type == "cuda" else 0.0

    def measure(self, act: Callable[[], None], *, seconds: float, least: int = 2) -> float:
        """Measure the seconds of one `act`: the mean of as many as fit, after one that is not counted."""
        act()
        self.wait()
        began, done = time.monotonic(), 0
        while done < least or time.monotonic() - began < seconds:
            act()
            done += 1
            if done % least == 0:  # else the host would run ahead of the GPU, and past its time
                self.wait()
        self.wait()
        return (time.monotonic() - began) / done


def find_place(*, rehearses: bool) -> Place:
    """Find the GPU. Raises: RuntimeError, where there is none and nobody rehearses."""
    if rehearses:
        return Place(torch.device("cpu"), is_rehearsal=True)
    if not torch.cuda.is_available():
        raise RuntimeError("there is no GPU here; ARGS=--rehearse runs every line on the CPU, in small shapes")
    return Place(torch.device("cuda", 0), is_rehearsal=False)

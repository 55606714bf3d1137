"""What kernels are chosen by: the kind of device, its generation, and what it computes in."""

from dataclasses import dataclass
from functools import cache

import torch

AMPERE = (8, 0)


@dataclass(frozen=True)
class Accelerator:
    """A device as far as the choice of kernels depends on it. `generation` is CUDA's compute capability."""

    kind: str
    name: str = ""
    generation: tuple[int, int] = (0, 0)
    has_bf16: bool = False

    @property
    def is_gpu(self) -> bool:
        return self.kind == "cuda"


# What is traced without a GPU (trainer/tracing) is traced with the kernels that every device has: the tables that ship
# are an upper bound of layers for GPUs that have better ones. What counts these puts AMPERE_GPU in its place.
TRACED = Accelerator("meta", "a device that is traced")
AMPERE_GPU = Accelerator("cuda", "a GPU of the Ampere generation", AMPERE, has_bf16=True)


def describe_accelerator(device: torch.device) -> Accelerator:
    """Describe a device; the meta device stands for what `TRACED` says."""
    if device.type == "meta":
        return TRACED
    return _describe_gpu(device) if device.type == "cuda" else Accelerator(device.type)


@cache
def _describe_gpu(device: torch.device) -> Accelerator:
    generation = torch.cuda.get_device_capability(device)
    return Accelerator(
        "cuda",
        torch.cuda.get_device_name(device),
        generation,
        has_bf16=torch.cuda.is_bf16_supported(including_emulation=False),
    )

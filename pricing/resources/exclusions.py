"""What excludes each other: a method and a device that cannot run it, whatever its memory. Pure."""

from typing import Literal, NamedTuple

from pricing.catalog.gpu import GpuProfile, Precision
from pricing.resources.method import Quantization


class Exclusion(NamedTuple):
    """Which of the two the method should change, and the sentence that says why and how."""

    key: Literal["quantization", "precision"]
    message: str


def find_exclusion(
    gpu: GpuProfile, quantization: Quantization, precision: Precision | Literal["auto"]
) -> Exclusion | None:
    """Find why a device cannot train by a method; None where it can. Our trainer refuses the same.

    Source: bitsandbytes quantizes on GPUs only; PyTorch trains in fp16 with a loss scale, which is for GPUs only.
    """
    if not gpu.is_cpu:
        return None
    if quantization != "none":
        return Exclusion(
            "quantization", f"a base in 8 or 4 bit needs a GPU, and {gpu.sku} is none: leave the base as it is"
        )
    if precision == "fp16":
        return Exclusion("precision", f"fp16 needs a GPU, and {gpu.sku} is none: take bf16, or fp32")
    return None

"""How long a micro-batch takes: launching kernels and arithmetic side by side, then what only waits for memory."""

import math
from dataclasses import dataclass

from pricing.catalog.gpu import GpuProfile, Precision
from pricing.resources.fitting import Prior
from pricing.resources.step_work import StepWork
from pricing.resources.tiles import compute_utilization

# A pass reads two tensors and writes one, beside what it needs again; a cache is about three times as fast as
# memory. Source: PMC10448217, table 3: 3.5, 4.6 and 2.7 times on V100, A100 and H100.
TENSORS_OF_A_PASS, CACHE_GAIN = 4, 3.0
SAVED_SHARE = 1 - 1 / CACHE_GAIN


@dataclass(frozen=True)
class TimeConstants:
    """What training reaches of a data sheet. Units: seconds a launch; the others are shares or multiples."""

    launch_seconds: float
    recomputed_launch_share: float
    adapter_launch_share: float
    unpacking_launches: float
    convolution_launches: float
    encoding_launches: float
    matmul_efficiency: float
    convolution_efficiency: float
    attention_efficiency: float
    low_power_share: float
    dense_share: float
    traffic: float
    compiled_share: float
    moving_efficiency: float
    unpacking_4bit: float
    unpacking_8bit: float
    unpacking_gptq: float
    link_efficiency: float


# What is believed before any run: from hardware figures and papers. The spreads are narrow: a dozen programs cannot
# determine so many constants, and each would draw them to its own habits.
TIME_PRIORS: dict[str, Prior] = {
    "launch_seconds": Prior(28e-6, 0.1, "PyTorch's eager mode spends 10 to 50 microseconds of Python on an operation"),
    "recomputed_launch_share": Prior(1.0, 0.1, "a forward pass again, with the bookkeeping that the first did without"),
    "adapter_launch_share": Prior(0.5, 0.25, "adapters launch small kernels, some of which are fused"),
    "unpacking_launches": Prior(1.2, 0.08, "one kernel more for each linear module and pass"),
    "convolution_launches": Prior(2.5, 0.2, "norms, casts of inputs and weights, and hooks around a UNet's modules"),
    "encoding_launches": Prior(2.0, 0.15, "a step that runs the text encoder and the VAE, and decodes pictures"),
    "matmul_efficiency": Prior(0.82, 0.08, "cuBLAS reaches 80 to 87 % of the dense peak where tiles fill the card"),
    "convolution_efficiency": Prior(0.5, 0.15, "cuDNN in channels-first order on the small maps of a UNet"),
    "attention_efficiency": Prior(0.6, 0.1, "Dao 2023, FlashAttention-2: 73 % forward, 63 % backward on A100"),
    "traffic": Prior(6.0, 0.2, "unfused norms, rotations and activations read and write several times what they keep"),
    "compiled_share": Prior(0.5, 0.1, "launches and traffic that are left of small kernels that are fused"),
    "moving_efficiency": Prior(0.8, 0.08, "share of the bandwidth that kernels without arithmetic reach"),
    "unpacking_4bit": Prior(0.6, 0.2, "share of the bandwidth that an unpacking kernel reaches"),
    "unpacking_8bit": Prior(0.6, 0.2, "share of the bandwidth that an unpacking kernel reaches"),
    "unpacking_gptq": Prior(0.18, 0.25, "auto-gptq without kernels shifts, masks and scales in passes of their own"),
    "low_power_share": Prior(0.5, 0.1, "T4 and L4 hold little more than their base clock in long products"),
    "dense_share": Prior(0.85, 0.1, "H100, L40S, A10G draw their limit before their peak"),
    "link_efficiency": Prior(0.6, 0.2, "share of the link that gathering weights reaches"),
}


def compute_micro_batch_seconds(
    work: StepWork, gpu: GpuProfile, precision: Precision, constants: TimeConstants
) -> float:
    """Compute seconds of a micro-batch on one GPU: √(launching² + computing²) + unpacking + gathering.

    A GPU computes while the next kernels are launched: the longer of the two counts, smoothly. A CPU does one after the
    other: there they are added.
    """
    bandwidth = gpu.bandwidth_gb_per_second * 1e9
    launching = _compute_launching(work, constants)
    moving = _count_waited_bytes(work, gpu, constants) / bandwidth
    computing = _compute_arithmetic(work, gpu, precision, constants) + moving
    together = launching + computing if gpu.is_cpu else math.hypot(launching, computing)
    if work.quantization != "none":
        together += _count_unpacked_bytes(work, constants) / bandwidth
    if work.gathered_bytes:
        together += work.gathered_bytes / (constants.link_efficiency * gpu.link_gb_per_second * 1e9)
    return together


def _compute_launching(work: StepWork, constants: TimeConstants) -> float:
    launches = (
        work.launches
        + work.recomputed_launches * constants.recomputed_launch_share
        + work.adapter_launches * constants.adapter_launch_share
    )
    if work.quantization != "none":
        launches *= constants.unpacking_launches
    if work.encodes:
        launches *= constants.encoding_launches
    if work.is_convolutional:
        launches *= constants.convolution_launches
    if work.is_compiled:
        launches *= constants.compiled_share
    return launches * constants.launch_seconds


def _compute_arithmetic(work: StepWork, gpu: GpuProfile, precision: Precision, constants: TimeConstants) -> float:
    """Compute the seconds of the products and of attention at what they reach of the peak that the card can hold."""
    efficiency = constants.convolution_efficiency if work.is_convolutional else constants.matmul_efficiency
    if gpu.multiprocessors is not None and work.product_widths:
        efficiency *= compute_utilization(work.product_rows, work.product_widths, gpu.multiprocessors)
    peak = gpu.peak_flops(precision) * _find_power_share(gpu, constants)
    return (work.matmul_flops / efficiency + work.attention_flops / constants.attention_efficiency) / peak


def _find_power_share(gpu: GpuProfile, constants: TimeConstants) -> float:
    """Find the share of its peak that a card's power limit lets it hold, relative to cards that it does not bind."""
    if gpu.power_class == "full":
        return 1.0
    return constants.dense_share if gpu.power_class == "dense" else constants.low_power_share


def _count_waited_bytes(work: StepWork, gpu: GpuProfile, constants: TimeConstants) -> float:
    """Count the bytes that kernels move, each at what it reaches of the bandwidth."""
    between_layers = (work.traffic_bytes - work.logit_bytes) * find_share_of_memory(work, gpu)
    traffic = (between_layers + work.logit_bytes) * constants.traffic
    if work.is_compiled:
        traffic *= constants.compiled_share
    return traffic + work.moved_bytes / constants.moving_efficiency


def find_share_of_memory(work: StepWork, gpu: GpuProfile) -> float:
    """Find what is left of the time of passes over activations where the card's cache has what the last kernel wrote.

    Source: NVIDIA, Ada and Ampere whitepapers, on the L2 cache.
    """
    if not gpu.cache_mib or not work.written_bytes:
        return 1.0
    cached = gpu.cache_mib * 2**20 / (TENSORS_OF_A_PASS * work.written_bytes)
    return 1 - cached * SAVED_SHARE if cached < 1 else 1 - SAVED_SHARE


def _count_unpacked_bytes(work: StepWork, constants: TimeConstants) -> float:
    """Count the bytes that unpacking moves, at what its kernels reach of the bandwidth."""
    efficiency = {
        "4bit": constants.unpacking_4bit,
        "8bit": constants.unpacking_8bit,
        "gptq": constants.unpacking_gptq,
    }[work.quantization]
    return work.unpacked_bytes / efficiency

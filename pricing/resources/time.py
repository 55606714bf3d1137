"""How long a micro-batch takes: launching kernels and arithmetic side by side, then what only waits for memory."""

import math
from dataclasses import dataclass

from pricing.catalog.gpu import GpuProfile, Precision
from pricing.resources.fitting import Prior
from pricing.resources.step_work import StepWork
from pricing.resources.tiles import compute_utilization

# A GPU computes while the next kernels are launched: the longer of the two counts, smoothly. A CPU does one after the
# other.
SMOOTHNESS = 2.0
SMOOTHNESS_ON_CPU = 1.0


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
    "low_power_share": Prior(0.5, 0.1, "cards of up to 165 W hold a clock nearer to their base than to their boost"),
    "dense_share": Prior(0.85, 0.1, "cards of a teraflop a watt and more draw their limit before their peak"),
    "link_efficiency": Prior(0.6, 0.2, "share of the link that gathering weights reaches"),
}


def compute_micro_batch_seconds(
    work: StepWork, gpu: GpuProfile, precision: Precision, constants: TimeConstants
) -> float:
    """Compute seconds of a micro-batch on one GPU: ((launching)^p + (computing)^p)^(1/p) + unpacking + gathering.

    p is 2 on a GPU, 1 on a CPU.
    """
    power = SMOOTHNESS_ON_CPU if gpu.is_cpu else SMOOTHNESS
    launching = _compute_launching(work, constants)
    computing = _compute_computing(work, gpu, precision, constants)
    together = launching + computing if power == 1 else math.hypot(launching, computing)
    return together + _compute_unpacking(work, gpu, constants) + _compute_gathering(work, gpu, constants)


def _compute_launching(work: StepWork, constants: TimeConstants) -> float:
    launches = (
        work.launches
        + work.recomputed_launches * constants.recomputed_launch_share
        + work.adapter_launches * constants.adapter_launch_share
    )
    unpacking = constants.unpacking_launches if work.quantization != "none" else 1.0
    encoding = constants.encoding_launches if work.encodes else 1.0
    network = constants.convolution_launches if work.is_convolutional else 1.0
    compiled = constants.compiled_share if work.is_compiled else 1.0
    return launches * unpacking * encoding * network * compiled * constants.launch_seconds


def _compute_computing(work: StepWork, gpu: GpuProfile, precision: Precision, constants: TimeConstants) -> float:
    peak = gpu.peak_flops(precision) * _find_power_share(gpu, constants)
    compiled = constants.compiled_share if work.is_compiled else 1.0
    efficiency = constants.convolution_efficiency if work.is_convolutional else constants.matmul_efficiency
    return (
        work.matmul_flops / (efficiency * _find_utilization(work, gpu) * peak)
        + work.attention_flops / (constants.attention_efficiency * peak)
        + work.traffic_bytes * constants.traffic * compiled / _bandwidth(gpu)
        + work.moved_bytes / (constants.moving_efficiency * _bandwidth(gpu))
    )


def _find_utilization(work: StepWork, gpu: GpuProfile) -> float:
    """Find the share of the card that the tiles of the products keep busy; all of it where that is not known."""
    if gpu.multiprocessors is None or not work.product_widths:
        return 1.0
    return compute_utilization(work.product_rows, work.product_widths, gpu.multiprocessors)


def _find_power_share(gpu: GpuProfile, constants: TimeConstants) -> float:
    """Find the share of its peak that a card's power limit lets it hold, relative to cards that it does not bind."""
    return {"low_power": constants.low_power_share, "dense": constants.dense_share, "full": 1.0}[gpu.power_class]


def _compute_unpacking(work: StepWork, gpu: GpuProfile, constants: TimeConstants) -> float:
    if work.quantization == "none":
        return 0.0
    efficiency = {
        "4bit": constants.unpacking_4bit,
        "8bit": constants.unpacking_8bit,
        "gptq": constants.unpacking_gptq,
    }[work.quantization]
    return work.unpacked_bytes / (efficiency * _bandwidth(gpu))


def _compute_gathering(work: StepWork, gpu: GpuProfile, constants: TimeConstants) -> float:
    return work.gathered_bytes / (constants.link_efficiency * gpu.link_gb_per_second * 1e9)


def _bandwidth(gpu: GpuProfile) -> float:
    return gpu.bandwidth_gb_per_second * 1e9

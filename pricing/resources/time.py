"""How long a micro-batch takes: launching kernels and arithmetic side by side, then what only waits for memory."""

import math
from dataclasses import dataclass

from pricing.catalog.gpu import GpuProfile, Precision
from pricing.resources.fitting import Prior
from pricing.resources.step_work import StepWork

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
    image_launches: float
    matmul_efficiency: float
    convolution_efficiency: float
    attention_efficiency: float
    traffic: float
    unpacking_4bit: float
    unpacking_8bit: float
    unpacking_gptq: float
    link_efficiency: float


# What is believed before any run: from hardware figures and papers, not from the runs that the fit is judged on.
TIME_PRIORS: dict[str, Prior] = {
    "launch_seconds": Prior(25e-6, 0.35, "PyTorch's eager mode spends 10 to 50 microseconds of Python on an operation"),
    "recomputed_launch_share": Prior(0.7, 0.2, "a forward pass without the graph's bookkeeping"),
    "adapter_launch_share": Prior(0.5, 0.5, "adapters launch small kernels, some of which are fused"),
    "unpacking_launches": Prior(1.2, 0.15, "one kernel more for each linear module and pass"),
    "image_launches": Prior(2.0, 0.5, "hooks around a UNet's modules, and the text encoder and the VAE in the loop"),
    "matmul_efficiency": Prior(0.8, 0.15, "cuBLAS reaches 75 to 85 % of the dense peak on large products"),
    "convolution_efficiency": Prior(0.5, 0.3, "cuDNN in channels-first order on the small maps of a UNet"),
    "attention_efficiency": Prior(0.6, 0.2, "Dao 2023, FlashAttention-2: 73 % forward, 63 % backward on A100"),
    "traffic": Prior(4.0, 0.5, "unfused norms, rotations and activations read and write several times what they keep"),
    "unpacking_4bit": Prior(0.6, 0.4, "share of the bandwidth that an unpacking kernel reaches"),
    "unpacking_8bit": Prior(0.6, 0.4, "share of the bandwidth that an unpacking kernel reaches"),
    "unpacking_gptq": Prior(0.5, 0.7, "as 4 bit, with kernels made for inference"),
    "link_efficiency": Prior(0.6, 0.4, "share of the link that gathering weights reaches"),
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
    image = constants.image_launches if work.is_image else 1.0
    return launches * unpacking * image * constants.launch_seconds


def _compute_computing(work: StepWork, gpu: GpuProfile, precision: Precision, constants: TimeConstants) -> float:
    peak = gpu.peak_flops(precision)
    efficiency = constants.convolution_efficiency if work.is_image else constants.matmul_efficiency
    return (
        work.matmul_flops / (efficiency * peak)
        + work.attention_flops / (constants.attention_efficiency * peak)
        + work.traffic_bytes * constants.traffic / _bandwidth(gpu)
    )


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

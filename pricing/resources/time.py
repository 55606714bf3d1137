"""How long a micro-batch takes: launching kernels and arithmetic side by side, then what only waits for memory."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from pricing.catalog.gpu import GpuProfile, Precision
from pricing.resources.fitting import Prior
from pricing.resources.step_work import CONVOLUTIONS_OF_A_UNET, StepWork
from pricing.resources.tiles import Products

# A pass reads two tensors and writes one, beside what it needs again; a cache is about three times as fast as
# memory. Source: PMC10448217, table 3: 3.5, 4.6 and 2.7 times on V100, A100 and H100.
TENSORS_OF_A_PASS, CACHE_GAIN = 4, 3.0
SAVED_SHARE = 1 - 1 / CACHE_GAIN
BYTES_OF_AN_ACTIVATION = 2
# A peak in 32 bit counts an instruction of each lane as a multiplication and an addition.
FLOPS_OF_AN_INSTRUCTION = 2


@dataclass(frozen=True)
class TimeConstants:
    """What training reaches of a data sheet. Units: seconds a launch; the others are shares or multiples."""

    launch_seconds: float
    recomputed_launch_share: float
    adapter_launch_share: float
    unpacking_launches: float
    unpacking_launches_8bit: float
    picture_launches: float
    loading_seconds: float
    matmul_efficiency: float
    convolution_efficiency: float
    encoding_efficiency: float
    attention_efficiency: float
    low_power_launches: float
    desktop_share: float
    desktop_launches: float
    recent_launches: float
    share_at_twice_the_density: float
    traffic: float
    compiled_share: float
    moving_efficiency: float
    unpacking_4bit: float
    unpacking_8bit: float
    unpacking_gptq: float
    decoding_instructions: float
    emulated_share: float
    checked_memory: float
    link_efficiency: float
    beside_steps: float


# What is believed before any run: from hardware figures and papers. The spreads are narrow: a dozen programs cannot
# determine so many constants, and each would draw them to its own habits.
TIME_PRIORS: dict[str, Prior] = {
    "launch_seconds": Prior(28e-6, 0.2, "PyTorch's eager mode spends 10 to 50 microseconds of Python on an operation"),
    "recomputed_launch_share": Prior(1.0, 0.1, "a forward pass again, with the bookkeeping that the first did without"),
    "adapter_launch_share": Prior(0.5, 0.25, "adapters launch small kernels, some of which are fused"),
    "unpacking_launches": Prior(1.2, 0.08, "one kernel more for each linear module and pass"),
    "unpacking_launches_8bit": Prior(
        3.0, 0.2, "bitsandbytes, MatMul8bitLt: quantizes rows, finds outliers, multiplies twice, scales back"
    ),
    "picture_launches": Prior(1.2, 0.1, "counted: autocast launches 1.09 (FLUX) to 1.27 (SD 1.5) times as much"),
    "loading_seconds": Prior(0.015, 0.4, "a picture of a megapixel: decoding 8 ms, resizing and normalizing 7 ms"),
    "matmul_efficiency": Prior(0.82, 0.08, "cuBLAS reaches 80 to 87 % of the dense peak where tiles fill the card"),
    "convolution_efficiency": Prior(0.5, 0.15, "cuDNN in channels-first order on the small maps of a UNet"),
    "encoding_efficiency": Prior(0.7, 0.15, "cuDNN on the large maps of a VAE, where Winograd's way saves products"),
    "attention_efficiency": Prior(0.6, 0.1, "Dao 2023, FlashAttention-2: 73 % forward, 63 % backward on A100"),
    "traffic": Prior(6.0, 0.2, "unfused norms, rotations and activations read and write several times what they keep"),
    "compiled_share": Prior(0.5, 0.1, "launches and traffic that are left of small kernels that are fused"),
    "moving_efficiency": Prior(0.8, 0.08, "share of the bandwidth that kernels without arithmetic reach"),
    "unpacking_4bit": Prior(0.6, 0.2, "share of the bandwidth that an unpacking kernel reaches"),
    "unpacking_8bit": Prior(0.6, 0.2, "share of the bandwidth that an unpacking kernel reaches"),
    "unpacking_gptq": Prior(0.18, 0.25, "auto-gptq without kernels shifts, masks and scales in passes of their own"),
    "decoding_instructions": Prior(
        60.0, 0.5, "bitsandbytes, dDequantizeNF4: fifteen comparisons that a warp takes all"
    ),
    "low_power_launches": Prior(
        1.5, 0.2, "clouds put T4s beside shared processors of 2.0 to 2.5 GHz, others of 3.3 to 3.7"
    ),
    "desktop_share": Prior(
        1.2, 0.06, "GeForce cards clock above their stated boost, and do half of what tensor cores could"
    ),
    "desktop_launches": Prior(0.8, 0.15, "desktops have processors of 5 GHz and more for one thread"),
    "recent_launches": Prior(0.8, 0.15, "one thread of Sapphire Rapids or Genoa beside one of Cascade Lake or Rome"),
    "share_at_twice_the_density": Prior(
        0.7,
        0.15,
        "half the power for a product: clocks fall by its cube root (0.79), at the lowest voltage by all of it",
    ),
    "emulated_share": Prior(
        0.8,
        0.15,
        "products of bf16 without units for it read 16 bit, widen it and multiply in 32, beside those of 32 bit",
    ),
    "checked_memory": Prior(
        0.85,
        0.08,
        "Jia et al. 2019: a T4, whose GDDR6 holds its own check bits, reaches 69 % of its bandwidth, a V100 83 %",
    ),
    "link_efficiency": Prior(0.6, 0.2, "share of the link that gathering weights reaches"),
    "beside_steps": Prior(
        1.08, 0.06, "a run's time over its steps holds logs, saves, the loader's start and warming up, too"
    ),
}


class WeighedStep(NamedTuple):
    """A micro-batch with all of its time that depends on work and constants alone, whatever GPU type it runs on.

    Units: seconds of launching; FLOPs of attention, and bytes moved and unpacked, each over what kernels reach of the
    peak or the bandwidth; `efficiency` is what products reach of the peak where their tiles fill the card;
    `traffic_bytes` pass between layers, as often as they do, `written_bytes` are those of a product in the mean.
    """

    work: StepWork
    constants: TimeConstants
    launching: float
    efficiency: float
    products: Products | None
    attention_flops: float
    traffic_bytes: float
    written_bytes: float
    moved_bytes: float
    unpacked_bytes: float
    decoding_flops: float

    def compute_seconds(self, gpu: GpuProfile, precision: Precision) -> float:
        """Compute seconds on one GPU: √(launching² + computing²) + unpacking + gathering.

        A GPU computes while the next kernels are launched: the longer of the two counts, smoothly. A CPU does one after
        the other, as does a host that waits for what each product finds: there they are added.
        """
        work, launching = self.work, self.compute_launching(gpu)
        bandwidth = gpu.bandwidth_gb_per_second * 1e9
        if gpu.checks_memory_inline:
            bandwidth *= self.constants.checked_memory
        waited_bytes = self.traffic_bytes * find_share_of_memory(self.written_bytes, gpu) + self.moved_bytes
        computing = _compute_arithmetic(self, gpu, precision) + waited_bytes / bandwidth
        follow = gpu.is_cpu or work.seeks_outliers
        together = launching + computing if follow else math.hypot(launching, computing)
        if self.unpacked_bytes:
            wide = gpu.peak_flops("fp32") * _find_held_share(gpu, self.constants)
            together += math.hypot(self.unpacked_bytes / bandwidth, self.decoding_flops / wide)
        if work.gathered_bytes:
            together += work.gathered_bytes / (self.constants.link_efficiency * gpu.link_gb_per_second * 1e9)
        return together

    def compute_launching(self, gpu: GpuProfile) -> float:
        """Compute the seconds in which the host launches a micro-batch's kernels.

        The hosts of small cards are slow, those of desktops and of recent cards fast; those of recent small cards both.
        """
        host = gpu.host_class
        if host == "usual":
            return self.launching
        if host == "desktop":
            return self.launching * self.constants.desktop_launches
        if host == "recent":
            return self.launching * self.constants.recent_launches
        shared = self.launching * self.constants.low_power_launches
        return shared * self.constants.recent_launches if host == "recent_shared" else shared


def weigh_step(work: StepWork, constants: TimeConstants) -> WeighedStep:
    """Weigh a micro-batch by constants: once for all GPU types that have the same."""
    fused = constants.compiled_share if work.is_compiled else 1.0
    return WeighedStep(
        work=work,
        constants=constants,
        launching=_compute_launching(work, constants),
        efficiency=constants.convolution_efficiency if work.is_convolutional else constants.matmul_efficiency,
        products=Products.of(work.product_rows, work.product_widths) if work.product_widths else None,
        attention_flops=work.attention_flops / constants.attention_efficiency,
        traffic_bytes=fused * _count_traffic_bytes(work, constants),
        written_bytes=count_written_bytes(work),
        moved_bytes=(work.logit_bytes * fused + work.moved_bytes) / constants.moving_efficiency,
        unpacked_bytes=_count_unpacked_bytes(work, constants),
        decoding_flops=work.decoded_weights * constants.decoding_instructions * FLOPS_OF_AN_INSTRUCTION,
    )


def compute_micro_batch_seconds(
    work: StepWork, gpu: GpuProfile, precision: Precision, constants: TimeConstants
) -> float:
    """Compute seconds of a micro-batch on one GPU: see `WeighedStep`."""
    return weigh_step(work, constants).compute_seconds(gpu, precision)


def _compute_launching(work: StepWork, constants: TimeConstants) -> float:
    launches = (
        work.launches
        + work.recomputed_launches * constants.recomputed_launch_share
        + work.adapter_launches * constants.adapter_launch_share
    )
    if work.seeks_outliers:
        launches *= constants.unpacking_launches_8bit
    elif work.quantization != "none":
        launches *= constants.unpacking_launches
    if work.draws_pictures:
        launches *= constants.picture_launches
    if work.is_compiled:
        launches *= constants.compiled_share
    launches += work.encoding_launches
    return launches * constants.launch_seconds + work.loaded_pictures * constants.loading_seconds


def _compute_arithmetic(step: WeighedStep, gpu: GpuProfile, precision: Precision) -> float:
    """Compute the seconds of the products and of attention at what they reach of the peak that the card can hold.

    A power limit lets it hold a share of its peak, relative to cards of its generation that it does not bind.
    """
    efficiency = step.efficiency
    if gpu.multiprocessors is not None and step.products is not None:
        efficiency *= step.products.compute_utilization(gpu.multiprocessors)
    work, peak = step.work, gpu.peaks[precision]
    if precision == "fp32" and work.is_convolutional:
        peak = _find_peak_in_32_bit(gpu, peak)
    if not gpu.has_bf16 and precision == "bf16" and not gpu.is_cpu:
        peak *= step.constants.emulated_share
    if gpu.power_class != "full":
        peak *= _find_held_share(gpu, step.constants)
    elif gpu.is_desktop:
        peak *= step.constants.desktop_share
    seconds = (work.matmul_flops / efficiency + step.attention_flops) / peak
    if work.wide_flops and precision != "fp32":
        seconds += work.wide_flops / (efficiency * gpu.peak_flops("fp32"))
    encodes = work.draws_pictures and (work.encoding_flops or work.wide_encoding_flops)
    return seconds + _compute_encoding(step, gpu, precision) if encodes else seconds


def _find_held_share(gpu: GpuProfile, constants: TimeConstants) -> float:
    """Find what its power limit lets a card hold of its clock."""
    if gpu.power_class == "full":
        return 1.0
    return math.pow(constants.share_at_twice_the_density, gpu.octaves_of_density)


def _find_peak_in_32_bit(gpu: GpuProfile, peak: float) -> float:
    """Find the FLOP/s of a UNet's products in 32 bit: the mean of convolutions and of all else."""
    return 1 / (CONVOLUTIONS_OF_A_UNET / gpu.wide_convolution_flops + (1 - CONVOLUTIONS_OF_A_UNET) / peak)


def _compute_encoding(step: WeighedStep, gpu: GpuProfile, precision: Precision) -> float:
    """Compute the seconds in which VAE and text encoders read a micro-batch: convolutions, all but a hundredth."""
    work, efficiency = step.work, step.constants.encoding_efficiency
    narrow = work.encoding_flops / gpu.peak_flops(precision)
    return (narrow + work.wide_encoding_flops / gpu.wide_convolution_flops) / efficiency


def _count_traffic_bytes(work: StepWork, constants: TimeConstants) -> float:
    """Count what passes between kernels: as many bytes as were counted, or estimated from those that are kept."""
    kept = (work.traffic_bytes - work.logit_bytes) * constants.traffic
    return kept + work.passed_bytes / constants.moving_efficiency


def count_written_bytes(work: StepWork) -> float:
    """Count the bytes that a product writes in the mean, which the next kernel reads; 0 for convolutions."""
    return work.product_rows * sum(columns * share for columns, share in work.product_widths) * BYTES_OF_AN_ACTIVATION


def find_share_of_memory(written_bytes: float, gpu: GpuProfile) -> float:
    """Find what is left of the time of passes over activations where the card's cache has what the last kernel wrote.

    Source: NVIDIA, Ada and Ampere whitepapers, on the L2 cache.
    """
    if not gpu.cache_mib or not written_bytes:
        return 1.0
    cached = gpu.cache_mib * 2**20 / (TENSORS_OF_A_PASS * written_bytes)
    return 1 - cached * SAVED_SHARE if cached < 1 else 1 - SAVED_SHARE


def _count_unpacked_bytes(work: StepWork, constants: TimeConstants) -> float:
    """Count the bytes that unpacking moves, at what its kernels reach of the bandwidth; 0 where nothing is packed."""
    match work.quantization:
        case "none":
            return 0.0
        case "4bit":
            return work.unpacked_bytes / constants.unpacking_4bit
        case "8bit":
            return work.unpacked_bytes / constants.unpacking_8bit
        case "gptq":
            return work.unpacked_bytes / constants.unpacking_gptq

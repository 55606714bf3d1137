"""How long a run will hold its GPU."""

import math
from dataclasses import dataclass

from pricing.catalog import GpuProfile
from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.calibration import Calibration
from pricing.estimate.workload import Workload

START_UP_SECONDS = 15
LOADED_BYTES_PER_SECOND = 200e6
FLOPS_PER_PARAMETER_AND_TOKEN = 4
FORWARD_FLOPS_PER_PARAMETER = 2
ATTENTION_FLOPS_FACTOR = 12
Z_90 = 1.2816


@dataclass(frozen=True)
class Estimate:
    """Whole GPU-seconds: half of such runs end within p50, nine of ten within p90."""

    p50: int
    p90: int


def estimate_gpu_seconds(
    workload: Workload, profile: BaseModelProfile, gpu: GpuProfile, *, calibration: Calibration | None = None
) -> Estimate:
    """GPU-seconds of a run on one GPU, from the moment it holds the GPU: start-up, then training.

    p50 is (start-up + FLOPs / effective FLOP/s) × the calibrated ratio; p90 lies 1.2816 standard deviations of the
    log above it.
    """
    calibration = calibration or Calibration()
    teraflops = count_training_flops(workload, profile) / 1e12
    predicted = _estimate_start_up_seconds(profile) + teraflops / (gpu.fp32_teraflops * 0.75 if gpu.is_cpu else gpu.teraflops * 0.4)
    p50 = predicted * calibration.ratio
    p90 = p50 * math.exp(Z_90 * calibration.spread)
    return Estimate(p50=max(1, math.ceil(p50)), p90=max(1, math.ceil(p90)))


def count_training_flops(workload: Workload, profile: BaseModelProfile) -> float:
    """FLOPs of forward and backward over every padded token, the base frozen.

    Per token 2N forward and 2N for the gradient of the activations; the 2N for the gradient of the weights falls away,
    since they are frozen, and the adapter's own share (under 1 %) is left out. Attention adds 12 × layers × hidden ×
    row length, taken at the longest row, so as an upper bound. Held-out rows go forward only.
    Source: Kaplan et al. 2020, "Scaling Laws for Neural Language Models", section 2.1 (2N and 4N); Chowdhery et al.
    2022, "PaLM", appendix B (attention).
    """
    attention = ATTENTION_FLOPS_FACTOR * profile.layers * profile.hidden_size * workload.longest_row
    trained = workload.padded_tokens * (FLOPS_PER_PARAMETER_AND_TOKEN * profile.parameters + attention)
    evaluated = workload.evaluated_tokens * (FORWARD_FLOPS_PER_PARAMETER * profile.parameters + attention / 3)
    return float(trained + evaluated)


def _estimate_start_up_seconds(profile: BaseModelProfile) -> float:
    """Starting Python and torch, then reading the weights."""
    return START_UP_SECONDS + profile.parameters * profile.bytes_per_parameter / LOADED_BYTES_PER_SECOND

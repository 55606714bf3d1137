"""What labelling pictures needs on one GPU type: how long, how much memory, at most how many tokens. Pure."""

import math
from dataclasses import dataclass

from pricing.calibration.calibration import LABELLING, Calibration, RunKind
from pricing.catalog.captioners import BYTES_PER_PARAMETER, Captioner
from pricing.catalog.gpu import GpuProfile
from pricing.estimate.run_estimate import GpuSeconds
from pricing.resources.memory import FitJudgement, compute_usable_gib
from pricing.resources.run_work import RunWork
from pricing.resources.step_work import StepWork
from pricing.training.label_config import LabelConfig

FAMILY = LABELLING
# Kernels of a transformer layer in eager mode, forward only; a decoder's has attention to the picture beside its own.
# Source: counted with torch's profiler in transformers' BLIP (vision layer 14, text layer 26).
ENCODER_LAUNCHES, DECODER_LAUNCHES = 14, 26
# Opening, turning and resizing a picture of some megapixels takes a core about as long as so many launches.
OPENING_LAUNCHES = 1_500
BYTES_PER_GIB = 1024**3
# Beside the weights: what the library keeps, and what a picture's layers pass on, for each picture of a batch.
CONTEXT_GIB, CPU_CONTEXT_GIB = 1.4, 0.5
VALUES_OF_A_PATCH = 24 * 1024


@dataclass(frozen=True)
class LabelEstimate:
    """The need of one labelling on one GPU type. `tokens` are the most that can be generated; those that are, count."""

    kind: RunKind
    work: RunWork
    gpu_seconds: GpuSeconds
    tokens: int
    memory_gib: float
    fit: FitJudgement
    calibration: str
    calibration_runs: int


def estimate_labelling(
    captioner: Captioner,
    config: LabelConfig,
    pictures: int,
    gpu: GpuProfile,
    calibration: Calibration,
    *,
    trainer_version: str,
) -> LabelEstimate:
    """Estimate the labelling of so many pictures on a GPU type, each with as many tokens as it may have."""
    work = count_label_work(captioner, config, pictures)
    kind = RunKind(gpu.sku, FAMILY, "fp32", checkpointing=False, trainer_version=trainer_version)
    interval = calibration.estimate(kind, work, gpu)
    gib = count_memory_gib(captioner, config, on_cpu=gpu.is_cpu)
    fits = gib <= compute_usable_gib(gpu)
    return LabelEstimate(
        kind=kind,
        work=work,
        gpu_seconds=GpuSeconds(math.ceil(interval.p50) or 1, math.ceil(interval.p90) or 1),
        tokens=pictures * config.max_tokens,
        memory_gib=gib,
        fit=FitJudgement.FITS if fits else FitJudgement.DOES_NOT_FIT,
        calibration=calibration.version,
        calibration_runs=interval.runs,
    )


def count_label_work(captioner: Captioner, config: LabelConfig, pictures: int) -> RunWork:
    """Count the work of a labelling: each batch is read by the encoder, then written token by token."""
    batch, tokens = config.batch_size, config.max_tokens
    read_bytes = BYTES_PER_PARAMETER * (captioner.vision_parameters + tokens * captioner.text_parameters)
    reading = 2 * captioner.vision_parameters * captioner.picture_tokens
    return RunWork(
        micro_batch=StepWork(
            launches=captioner.layers * (ENCODER_LAUNCHES + tokens * DECODER_LAUNCHES) + batch * OPENING_LAUNCHES,
            recomputed_launches=0,
            adapter_launches=0,
            matmul_flops=batch * (reading + 2.0 * tokens * captioner.text_parameters),
            attention_flops=0,
            traffic_bytes=0,
            moved_bytes=read_bytes,
        ),
        micro_batches=pictures / batch,
        precision="fp32",
        loaded_bytes=captioner.weights_bytes,
        saves=-(-pictures // config.save_steps),
    )


def count_memory_gib(captioner: Captioner, config: LabelConfig, *, on_cpu: bool) -> float:
    """Count the peak memory in GiB."""
    batch_bytes = config.batch_size * captioner.picture_tokens * VALUES_OF_A_PATCH * BYTES_PER_PARAMETER
    context = CPU_CONTEXT_GIB if on_cpu else CONTEXT_GIB
    return (captioner.weights_bytes + batch_bytes) / BYTES_PER_GIB + context

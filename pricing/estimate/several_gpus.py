"""One run on several GPUs of one machine, which share the micro-batches of each step, as the trainer deals them out."""

import math

from pricing.calibration.calibration import Calibration
from pricing.catalog.gpu import GpuProfile
from pricing.estimate.run_estimate import GpuSeconds, RunEstimate
from pricing.training.config import TrainingConfig


def share_step(config: TrainingConfig, gpus: int) -> TrainingConfig:
    """Share the rows of a step: smaller micro-batches where there would not be one for each GPU."""
    batch = min(config.batch_size, -(-config.rows_per_step // gpus))
    return config.model_copy(update={"batch_size": batch, "gradient_accumulation": -(-config.rows_per_step // batch)})


def spread_run(
    run: RunEstimate, shared: TrainingConfig, gpu: GpuProfile, calibration: Calibration, gpus: int
) -> RunEstimate:
    """Spread the run of a shared step over GPUs: each has its micro-batches, and all are held until the last has ended.

    What GPUs say to each other is little beside a step: the gradients of an adapter.
    """
    own = -(-shared.gradient_accumulation // gpus)
    work = run.work._replace(micro_batches=run.work.micro_batches * own / shared.gradient_accumulation)
    interval = calibration.estimate(run.kind, work, gpu)
    p50, p90 = (gpus * (math.ceil(seconds) or 1) for seconds in (interval.p50, interval.p90))
    return run._replace(work=work, gpu_seconds=GpuSeconds(p50, p90))

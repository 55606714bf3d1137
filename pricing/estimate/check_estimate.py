"""What the check of a data set needs: it opens every picture, or reads every row, on cores beside its GPU. Pure."""

import math
from typing import Any

from pricing.calibration.calibration import CHECKING, Calibration, RunKind
from pricing.catalog.gpu import GpuProfile
from pricing.estimate.run_estimate import GpuSeconds
from pricing.resources.run_work import RunWork
from pricing.resources.step_work import StepWork

FAMILY = CHECKING
MEMORY_GIB = 1.0
# To open, scale, measure and hash a picture, and to read a row, takes a core about as long as so many launches.
# Source: `trainer check` on 2 cores, 100 ms for 2 million pixels, 0.1 ms for a row.
PICTURE_LAUNCHES, ROW_LAUNCHES = 3_600.0, 4.0


def estimate_checking(
    rows: int, gpu: GpuProfile, calibration: Calibration, *, is_text: bool, trainer_version: str
) -> dict[str, Any]:
    """Estimate the check of so many rows, or pictures, as the fields of a job's estimate that it decides."""
    launches = rows * (ROW_LAUNCHES if is_text else PICTURE_LAUNCHES)
    step = StepWork(
        launches=launches, recomputed_launches=0, adapter_launches=0, matmul_flops=0, attention_flops=0, traffic_bytes=0
    )
    work = RunWork(step, micro_batches=1, precision="fp32", loaded_bytes=0)
    kind = RunKind(gpu.sku, FAMILY, "fp32", checkpointing=False, trainer_version=trainer_version)
    interval = calibration.estimate(kind, work, gpu)
    seconds = GpuSeconds(math.ceil(interval.p50) or 1, math.ceil(interval.p90) or 1)
    return {"kind": kind, "work": work, "gpu_seconds": seconds, "calibration_runs": interval.runs}

"""A builder of estimates, with defaults: small and plausible."""

from typing import Any

from broker.quotes.estimating.estimate import JobEstimate
from pricing.calibration.calibration import RunKind
from pricing.estimate.run_estimate import GpuSeconds
from pricing.resources.memory import FitJudgement
from pricing.resources.run_work import RunWork
from pricing.resources.step_work import StepWork

KIND = RunKind("cpu", "causal_lm", "fp32", checkpointing=False, trainer_version="1")
WORK = RunWork(StepWork(*[1.0] * 6), micro_batches=8, precision="fp32", loaded_bytes=1)


def make_estimate(*, p50: int = 60, p90: int = 120, tokens: int = 1000, **fields: Any) -> JobEstimate:
    values = {
        "base_model": "smollm2-135m-instruct",
        "sku": "cpu",
        "loss_tokens": 800,
        "padding_tokens": 0,
        "rows": 8,
        "steps": 10,
        "vram_gib": 1.0,
        "fit": FitJudgement.FITS,
        "gradient_checkpointing": False,
        "adapter_parameters": 460_800,
        "calibration": "0",
        "calibration_runs": 0,
        "kind": KIND,
        "work": WORK,
    }
    return JobEstimate(gpu_seconds=GpuSeconds(p50, p90), tokens=tokens, **{**values, **fields})

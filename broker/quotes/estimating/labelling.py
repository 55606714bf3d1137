"""What a labelling, or a check, will need on one device of a type. Pure."""

from broker import __version__
from broker.quotes.checking.labelling import LabelConfiguration
from broker.quotes.checking.refusal import refuse_config
from broker.quotes.estimating.estimate import JobEstimate
from pricing.calibration.calibration import Calibration
from pricing.catalog.gpu import GpuProfile
from pricing.estimate.check_estimate import MEMORY_GIB, estimate_checking
from pricing.estimate.label_estimate import LabelEstimate, estimate_labelling
from pricing.resources.memory import FitJudgement, compute_usable_gib
from pricing.training.label_config import CHECK


def estimate_label_job(
    configuration: LabelConfiguration, pictures: int, gpu: GpuProfile, calibration: Calibration, most_gpu_hours: int
) -> JobEstimate:
    """Estimate the labelling of so many pictures; a step is a picture, and tokens are the most that there can be.

    Raises: InvalidTrainingConfig, where the model does not fit, or it would take longer than one job may.
    """
    captioner, config = configuration.captioner, configuration.config
    found = estimate_labelling(captioner, config, pictures, gpu, calibration, trainer_version=__version__)
    if found.fit is FitJudgement.DOES_NOT_FIT:
        needed = f"needs about {found.memory_gib:.1f} GiB, {gpu.name} has {compute_usable_gib(gpu):.1f} GiB"
        raise refuse_config("batch_size", f"{needed}; lower it, or choose a smaller captioning model")
    hours = -(-found.gpu_seconds.p90 // 3600)
    if hours > most_gpu_hours:
        told = f"the labelling is expected to need up to {hours} GPU-hours, and one job may need {most_gpu_hours}"
        raise refuse_config("scope", f"{told}; label some of the pictures by scope: selected")
    return _write_estimate(captioner.name, pictures, found)


def _write_estimate(name: str, pictures: int, found: LabelEstimate) -> JobEstimate:
    return JobEstimate(
        base_model=name,
        sku=found.kind.sku,
        gpu_seconds=found.gpu_seconds,
        tokens=found.tokens,
        loss_tokens=None,
        padding_tokens=0,
        rows=pictures,
        steps=pictures,
        vram_gib=round(found.memory_gib, 2),
        fit=found.fit,
        gradient_checkpointing=False,
        adapter_parameters=0,
        calibration=found.calibration,
        calibration_runs=found.calibration_runs,
        kind=found.kind,
        work=found.work,
    )


def estimate_check_job(rows: int, gpu: GpuProfile, calibration: Calibration, *, is_text: bool) -> JobEstimate:
    """Estimate the check of so many rows or pictures; it is one step, and has no tokens."""
    found = estimate_checking(rows, gpu, calibration, is_text=is_text, trainer_version=__version__)
    return JobEstimate(
        base_model=CHECK,
        sku=gpu.sku,
        tokens=0,
        loss_tokens=None,
        padding_tokens=0,
        rows=rows,
        steps=1,
        vram_gib=MEMORY_GIB,
        fit=FitJudgement.FITS,
        gradient_checkpointing=False,
        adapter_parameters=0,
        calibration=calibration.version,
        **found,
    )

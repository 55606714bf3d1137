"""What a quote is uncertain for, and what would narrow it, in sentences. Pure."""

from collections.abc import Iterator

from broker.quotes.estimating.estimate import JobEstimate
from pricing.calibration.calibration import FEWEST_RESIDUALS, has_learnt_width
from pricing.catalog.profile import TEXT_FAMILIES
from pricing.estimate import check_estimate, label_estimate
from pricing.resources.memory import FitJudgement

# From here on runs wait for cores: those of one that was alone when it taught the estimator did not.
BUSY_LOAD = 0.9


def name_uncertainties(estimate: JobEstimate) -> list[str]:
    """Name what the interval of an estimate is wide for, and what it does not know of; the most telling first."""
    return list(_list_uncertainties(estimate))


def _list_uncertainties(estimate: JobEstimate) -> Iterator[str]:
    load, seconds = estimate.machine_load, estimate.gpu_seconds
    is_training = estimate.kind.family not in {label_estimate.FAMILY, check_estimate.FAMILY}
    if load is not None and load >= BUSY_LOAD:
        yield (
            f"busy machine: when this was quoted {load:.1f} processes for each core wanted to run; beside them a run "
            "takes longer than estimated"
        )
    if estimate.fit is FitJudgement.TIGHT:
        yield (
            f"tight: {estimate.vram_gib:.1f} GiB are expected on {estimate.sku}, which leaves too little free; "
            "`trainer probe` says for certain"
        )
    if not has_learnt_width(estimate.calibration_runs):
        yield (
            f"{_name_runs(estimate)}; until there are {FEWEST_RESIDUALS} the interval has the width of "
            "published figures"
        )
        if is_training:
            yield (
                "a probe would narrow it: `trainer probe` measures a dozen steps of this configuration on "
                f"{estimate.sku}, in place of p90 at {seconds.p90 / seconds.p50:.2f} times p50"
            )
    if estimate.gpus > 1:
        yield (
            f"several devices: {estimate.gpus} share each step; how long they wait for each other was never measured"
        )
    if is_training and estimate.kind.family not in TEXT_FAMILIES:
        yield "pictures: least certain, as their steps are short and wait for the machine as much as for the card"


def _name_runs(estimate: JobEstimate) -> str:
    runs, change = estimate.calibration_runs, estimate.change
    if change is not None:
        return (
            f"card that changed: {estimate.sku} takes {change.factor:.2f} times as long as before, as the last "
            f"{change.runs} runs say"
        )
    if not runs:
        return f"card without enough runs: no finished runs on {estimate.sku}"
    return f"card without enough runs: {runs} finished runs on {estimate.sku}"

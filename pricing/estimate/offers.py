"""The ways to run one job: GPU types, and settings that leave every step as it is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pricing.calibration.calibration import Calibration
from pricing.catalog.gpu import GpuProfile, Precision
from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.run_estimate import RunEstimate, estimate_run
from pricing.resources.memory import FitJudgement
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload

Plan = Callable[[TrainingConfig], Workload]


@dataclass(frozen=True)
class Offer:
    """A configuration of the same steps on one GPU of a type, and what it is estimated to need there."""

    config: TrainingConfig
    run: RunEstimate

    @property
    def precision(self) -> Precision:
        return self.run.work.precision


def list_offers(
    profile: BaseModelProfile,
    config: TrainingConfig,
    plan: Plan,
    gpus: Sequence[GpuProfile],
    calibration: Calibration,
    *,
    trainer_version: str,
) -> list[Offer]:
    """The configuration as it is on every GPU type that it fits on. Raises: UnknownTargetModules."""
    workload = plan(config)
    runs = (estimate_run(profile, config, workload, gpu, calibration, trainer_version=trainer_version) for gpu in gpus)
    return [Offer(config, run) for run in runs if run.fit is not FitJudgement.DOES_NOT_FIT]


def list_variants(
    profile: BaseModelProfile,
    config: TrainingConfig,
    plan: Plan,
    gpus: Sequence[GpuProfile],
    calibration: Calibration,
    *,
    trainer_version: str,
) -> list[Offer]:
    """The same rows in every step, in other micro-batches and precisions, with and without gradient checkpointing; on
    every GPU type that each surely fits on.

    Raises: UnknownTargetModules.
    """
    offers = []
    for batch in _vary_batch(config):
        workload = plan(batch)
        for gpu in gpus:
            for variant in _vary_method(batch, gpu):
                run = estimate_run(profile, variant, workload, gpu, calibration, trainer_version=trainer_version)
                if run.fit is FitJudgement.FITS:
                    offers.append(Offer(variant, run))
    return offers


def _vary_batch(config: TrainingConfig) -> Iterator[TrainingConfig]:
    """Micro-batches whose accumulation makes up the same step: powers of two that divide its rows."""
    yield config
    size = 1
    while size <= config.rows_per_step:
        if config.rows_per_step % size == 0 and size != config.batch_size:
            accumulation = config.rows_per_step // size
            yield config.model_copy(update={"batch_size": size, "gradient_accumulation": accumulation})
        size *= 2


def _vary_method(config: TrainingConfig, gpu: GpuProfile) -> Iterator[TrainingConfig]:
    precisions = ("fp32", "bf16") if gpu.has_bf16 else ("fp32",) if gpu.is_cpu else ("fp32", "fp16")
    for precision in precisions:
        for checkpointing in (False, True):
            yield config.model_copy(update={"precision": precision, "gradient_checkpointing": checkpointing})


def find_frontier(offers: Sequence[Offer], costs: Sequence[int]) -> list[Offer]:
    """Those that no other beats in both time and cost, the fastest first; of equals the one that comes first.

    `costs` are the offers' own, in any one unit.
    """
    ranked = sorted(range(len(offers)), key=lambda place: (offers[place].run.gpu_seconds.p50, costs[place], place))
    frontier: list[Offer] = []
    cheapest: int | None = None
    for place in ranked:
        if cheapest is None or costs[place] < cheapest:
            frontier.append(offers[place])
            cheapest = costs[place]
    return frontier

"""The ways to run one job: GPU types, and settings that leave every step as it is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from pricing.calibration.calibration import Calibration
from pricing.catalog.gpu import GpuProfile, Precision
from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.run_estimate import RunEstimate, estimate_method
from pricing.plain_tuples import make
from pricing.resources.exclusions import find_exclusion
from pricing.resources.memory import FitJudgement, compute_usable_gib
from pricing.resources.method import Method
from pricing.resources.trainer_memory import MethodMemory, TrainerMemory
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload

Plan = Callable[[TrainingConfig], Workload]

# Precisions whose numbers take as many bytes: time and memory of a job are counted alike in both.
TWINS: dict[Precision, Precision] = {"bf16": "fp16", "fp16": "bf16"}


class Offer(NamedTuple):
    """A configuration of the same steps on one GPU of a type, and what it is estimated to need there."""

    config: TrainingConfig
    run: RunEstimate

    @property
    def precision(self) -> Precision:
        return self.run.work.precision


@dataclass(frozen=True)
class OfferedJob:
    """A job that is offered: its base model and configuration, how its work is counted, and what it is estimated by."""

    profile: BaseModelProfile
    config: TrainingConfig
    plan: Plan
    calibration: Calibration
    trainer_version: str

    @cached_property
    def workload(self) -> Workload:
        """The work of the configuration as it is, counted once."""
        return self.plan(self.config)

    def list_offers(self, gpus: Sequence[GpuProfile]) -> list[Offer]:
        """List the configuration as it is on every GPU type that can run it and has the memory.

        Raises: UnknownTargetModules.
        """
        config, memory_in = self.config, self._measure_memory(self.config)
        quantization, precision = config.quantization, config.precision
        too_small, offers = FitJudgement.DOES_NOT_FIT, []
        for gpu in gpus:
            if find_exclusion(gpu, quantization, precision) is not None:
                continue
            memory = memory_in(gpu.auto_precision if precision == "auto" else precision)
            run = self._estimate(memory, memory.choose(compute_usable_gib(gpu), on_cpu=gpu.is_cpu), gpu)
            if run.fit is not too_small:
                offers.append(make(Offer, (config, run)))
        return offers

    def list_variants(self, gpus: Sequence[GpuProfile]) -> list[Offer]:
        """List other ways to train the same rows in every step, on every GPU type that each surely fits on.

        They are in other micro-batches and precisions, with and without gradient checkpointing.
        Raises: UnknownTargetModules.
        """
        offers = []
        for batch in _vary_batch(self.config):
            memory_in = self._measure_memory(batch)
            for gpu in gpus:
                if find_exclusion(gpu, self.config.quantization, "auto") is not None:
                    continue
                for memory in map(memory_in, _list_precisions(gpu)):
                    methods = (memory.kept, memory.recomputed)
                    runs = [
                        self._estimate(memory, found.move_to_cpu() if gpu.is_cpu else found, gpu) for found in methods
                    ]
                    offers += [
                        Offer(_write_method(batch, run.memory.method), run)
                        for run in runs
                        if run.fit is FitJudgement.FITS
                    ]
        return offers

    def _measure_memory(self, config: TrainingConfig) -> Callable[[Precision], TrainerMemory]:
        """Count the work of a configuration, and answer its memory in each precision: once, whatever the GPU type."""
        workload = self.workload if config is self.config else self.plan(config)
        found: dict[Precision, TrainerMemory] = {}

        def measure(precision: Precision) -> TrainerMemory:
            memory = found.get(precision)
            if memory is None:
                twin = found.get(TWINS[precision]) if precision in TWINS else None
                memory = found[precision] = TrainerMemory(self.profile, config, workload, precision, twin)
            return memory

        return measure

    def _estimate(self, memory: TrainerMemory, chosen: MethodMemory, gpu: GpuProfile) -> RunEstimate:
        return estimate_method(memory, chosen, gpu, self.calibration, trainer_version=self.trainer_version)


def _vary_batch(config: TrainingConfig) -> Iterator[TrainingConfig]:
    """Yield micro-batches whose accumulation makes up the same step: powers of two that divide its rows."""
    yield config
    size = 1
    while size <= config.rows_per_step:
        if config.rows_per_step % size == 0 and size != config.batch_size:
            accumulation = config.rows_per_step // size
            yield config.model_copy(update={"batch_size": size, "gradient_accumulation": accumulation})
        size *= 2


def _list_precisions(gpu: GpuProfile) -> tuple[Precision, ...]:
    if gpu.has_bf16:
        return "fp32", "bf16"
    return ("fp32",) if gpu.is_cpu else ("fp32", "fp16")


def _write_method(config: TrainingConfig, method: Method) -> TrainingConfig:
    return config.model_copy(update={"precision": method.precision, "gradient_checkpointing": method.checkpointing})


def find_frontier(offers: Sequence[Offer], costs: Sequence[int]) -> list[Offer]:
    """Find those that no other beats in both time and cost, the fastest first; of equals the one that comes first.

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

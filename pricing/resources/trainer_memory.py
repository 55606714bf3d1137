"""How much GPU memory a job of our own trainer needs at its peak, and when it recomputes activations to need less."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from pricing.catalog.gpu import Precision
from pricing.catalog.profile import BaseModelProfile
from pricing.resources.memory import PeakMemory, estimate_peak
from pricing.resources.method import Method, describe_method, resolve_precision
from pricing.resources.peak_contents import MicroBatch, count_peak_contents
from pricing.resources.run_plan import plan_run
from pricing.resources.run_work import DeviceConstants, RunWork, WeighedRun, weigh_run
from pricing.resources.shipped_constants import load_device_constants, load_memory_constants
from pricing.resources.traced_peak import estimate_traced_peak
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload

TRAINER: Final = "trainer"


class MethodMemory(NamedTuple):
    """A method of our own trainer, and the peak that it is estimated to have."""

    method: Method
    peak: PeakMemory

    def move_to_cpu(self) -> "MethodMemory":
        return MethodMemory(self.method, self.peak.move_to_cpu())


class MethodWork(NamedTuple):
    """The work of a run by one method, also weighed by the shipped constants, which every type without runs has."""

    counted: RunWork
    as_shipped: WeighedRun

    def weigh(self, constants: DeviceConstants | None) -> WeighedRun:
        """Weigh it by the constants of a GPU type; None where it has no runs."""
        return self.as_shipped if constants is None else weigh_run(self.counted, constants)


@dataclass(frozen=True)
class TrainerMemory:
    """The peaks of one job in one precision on a GPU, with its activations kept and with them recomputed.

    Each is worked out once, when it is first asked for, so that an estimate, a judgement of fit and the offers of many
    GPU types share it; so is the work of a run by either. `twin` is the job in another precision whose numbers take as
    many bytes: peaks and work are then its own, under another name. All raise UnknownTargetModules.
    """

    profile: BaseModelProfile
    config: TrainingConfig
    workload: Workload
    precision: Precision
    twin: "TrainerMemory | None" = field(default=None, compare=False, repr=False)

    @cached_property
    def kept(self) -> MethodMemory:
        return self._measure(checkpointing=False)

    @cached_property
    def recomputed(self) -> MethodMemory:
        return self._measure(checkpointing=True)

    def get_work(self, chosen: MethodMemory) -> MethodWork:
        """Get the work of the run by a method of the job, counted when it is first asked for."""
        return self._recomputing_work if chosen.method.checkpointing else self._keeping_work

    @cached_property
    def _keeping_work(self) -> MethodWork:
        return self._plan(self.kept.method)

    @cached_property
    def _recomputing_work(self) -> MethodWork:
        return self._plan(self.recomputed.method)

    def _plan(self, method: Method) -> MethodWork:
        if self.twin is not None:
            same = self.twin.get_work(self.twin.recomputed if method.checkpointing else self.twin.kept)
            counted = same.counted._replace(precision=self.precision)
            return MethodWork(counted, same.as_shipped._replace(work=counted))
        counted = plan_run(self.profile, self.config, self.workload, method)
        return MethodWork(counted, weigh_run(counted, load_device_constants()))

    def choose(self, available_gib: float, *, on_cpu: bool = False) -> MethodMemory:
        """Choose as the trainer will where so many GiB are available. Raises: UnknownTargetModules."""
        if not self.needs_checkpointing(available_gib, on_cpu=on_cpu):
            return self._kept_on_cpu if on_cpu else self.kept
        return self.recomputed.move_to_cpu() if on_cpu else self.recomputed

    def needs_checkpointing(self, available_gib: float, *, on_cpu: bool = False) -> bool:
        """Decide on gradient checkpointing: as set, or with auto where the run would not fit without.

        Raises: UnknownTargetModules.
        """
        asked = self.config.gradient_checkpointing
        if asked != "auto":
            return asked
        kept = self._kept_on_cpu if on_cpu else self.kept
        return kept.peak.gib > available_gib

    @cached_property
    def _kept_on_cpu(self) -> MethodMemory:
        return self.kept.move_to_cpu()

    def _measure(self, *, checkpointing: bool) -> MethodMemory:
        if self.twin is not None:
            same = self.twin.recomputed if checkpointing else self.twin.kept
            return MethodMemory(same.method._replace(precision=self.precision), same.peak)
        method = describe_method(self.profile, self.config, self.precision, checkpointing=checkpointing)
        constants = load_memory_constants(TRAINER)
        batch = fill_micro_batch(self.config, self.workload)
        traced = estimate_traced_peak(self.profile, method, self.config, batch, constants)
        if traced is not None:
            return MethodMemory(method, traced)
        return MethodMemory(method, estimate_peak(count_peak_contents(self.profile, method, batch), constants))


def fill_micro_batch(config: TrainingConfig, workload: Workload) -> MicroBatch:
    """Take the largest micro-batch that a run has in memory: full, of samples as long as the longest."""
    return MicroBatch(min(config.batch_size, workload.rows), workload.longest)


def estimate_trainer_peak(
    profile: BaseModelProfile,
    config: TrainingConfig,
    workload: Workload,
    *,
    precision: Precision,
    on_cpu: bool = False,
) -> PeakMemory:
    """Estimate the peak of our own trainer; its activations are kept, unless gradient checkpointing is set.

    `precision` holds where the configuration says auto.
    Raises: UnknownTargetModules.
    """
    memory = TrainerMemory(profile, config, workload, resolve_precision(config, precision))
    peak = (memory.recomputed if config.gradient_checkpointing is True else memory.kept).peak
    return peak.move_to_cpu() if on_cpu else peak


def needs_checkpointing(
    profile: BaseModelProfile,
    config: TrainingConfig,
    workload: Workload,
    *,
    precision: Precision,
    available_gib: float,
    on_cpu: bool = False,
) -> bool:
    """Decide whether a job's activations are to be recomputed: see `TrainerMemory`.

    `precision` holds where the configuration says auto.
    Raises: UnknownTargetModules.
    """
    memory = TrainerMemory(profile, config, workload, resolve_precision(config, precision))
    return memory.needs_checkpointing(available_gib, on_cpu=on_cpu)

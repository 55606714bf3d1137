"""What a whole run has to do, and how long its parts take together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pricing.catalog.gpu import GpuProfile, Precision
from pricing.resources.fitting import Prior
from pricing.resources.step_work import StepWork
from pricing.resources.time import TIME_PRIORS, TimeConstants, WeighedStep, weigh_step


class RunWork(NamedTuple):
    """The work of one run on its GPUs, each of which does the same.

    `micro_batch` is the mean one; `micro_batches` counts those of all steps, an evaluation as the share of one that it
    computes. `prepared_flops` are computed once, before the first step (latents and text embeddings that are cached).
    `sampled_launches` are those of drawing samples.
    """

    micro_batch: StepWork
    micro_batches: float
    precision: Precision
    loaded_bytes: float
    prepared_flops: float = 0.0
    sampled_launches: float = 0.0
    saves: int = 1

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "micro_batch": self.micro_batch.to_json()}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "RunWork":
        return cls(**{**written, "micro_batch": StepWork.from_json(written["micro_batch"])})


@dataclass(frozen=True)
class RunConstants:
    """What a run takes beside its steps. Units: seconds; bytes a second."""

    start_seconds: float
    loaded_bytes_per_second: float
    save_seconds: float


RUN_PRIORS: dict[str, Prior] = {
    "start_seconds": Prior(15.0, 0.5, "starting Python, importing torch, taking a device"),
    "loaded_bytes_per_second": Prior(500e6, 0.7, "reading weights from a disk that others read too"),
    "save_seconds": Prior(0.3, 0.7, "writing and syncing a checkpoint"),
}


@dataclass(frozen=True)
class DeviceConstants:
    """All that the time of a run on one GPU type is computed from."""

    steps: TimeConstants
    run: RunConstants

    @classmethod
    def of(cls, values: Mapping[str, float]) -> "DeviceConstants":
        return cls(
            steps=TimeConstants(**{name: values[name] for name in TIME_PRIORS}),
            run=RunConstants(**{name: values[name] for name in RUN_PRIORS}),
        )


class WeighedRun(NamedTuple):
    """A run with all of its time that depends on work and constants alone, whatever GPU type it runs on.

    Units: seconds, each of what it is for; FLOPs over what kernels reach of the peak.
    """

    work: RunWork
    step: WeighedStep
    starting: float
    sampling: float
    saving: float
    convolution_efficiency: float

    def compute_seconds(self, gpu: GpuProfile) -> float:
        """Compute the seconds that it holds its GPUs: to start, load, prepare, train, sample and save."""
        work = self.work
        seconds = self.starting
        if work.prepared_flops:
            seconds += work.prepared_flops / (self.convolution_efficiency * gpu.peak_flops(work.precision))
        seconds += work.micro_batches * self.step.compute_seconds(gpu, work.precision)
        return seconds + self.sampling + self.saving


def weigh_run(work: RunWork, constants: DeviceConstants) -> WeighedRun:
    """Weigh the work of a run by constants: once for all GPU types that have the same."""
    steps, run = constants.steps, constants.run
    return WeighedRun(
        work=work,
        step=weigh_step(work.micro_batch, steps),
        starting=run.start_seconds + work.loaded_bytes / run.loaded_bytes_per_second,
        sampling=work.sampled_launches * steps.launch_seconds,
        saving=work.saves * run.save_seconds,
        convolution_efficiency=steps.convolution_efficiency,
    )


def compute_run_seconds(work: RunWork, gpu: GpuProfile, constants: DeviceConstants) -> float:
    """Compute the seconds that a run holds its GPUs: see `WeighedRun`."""
    return weigh_run(work, constants).compute_seconds(gpu)

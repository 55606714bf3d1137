"""`trainer probe`: a dozen steps on this very device, and from them how long the whole run will take."""

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from pricing.training.config import TrainingConfig
from pricing.training.step_plan import hold_out_rows, plan_steps
from trainer.base_models.config import BaseModelSource
from trainer.data.dataset import Dataset
from trainer.errors import BadInput
from trainer.stop import StopFlag
from trainer.training.recipe import StepReport
from trainer.training.session import run_training

WARM_UP_STEPS = 2
FEWEST_STEPS = WARM_UP_STEPS + 3
NEVER = 10_000_000
Z_90 = 1.2816
# A machine is not the same all day: the mean of a long run strays by as much at least.
LEAST_SPREAD = 0.05
BYTES_PER_GIB = 2**30


@dataclass(frozen=True)
class Range:
    p50: float
    p90: float


@dataclass(frozen=True)
class ProbeReport:
    """What a dozen steps took. Units: seconds; tokens a second; GiB. `steps` are those of the whole run."""

    measured_steps: int
    seconds_to_start: float
    seconds_per_step: Range
    tokens_per_second: float
    peak_memory_gib: float
    steps: int
    seconds: Range

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class StepClock:
    """An observer that keeps the time of every step."""

    clock: Callable[[], float] = time.monotonic
    began_at: float = 0.0
    started_at: float = 0.0
    ended_at: list[float] = field(default_factory=list)
    reports: list[StepReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began_at = self.clock()

    def training_started(self, *, step: int, total_steps: int) -> None:  # noqa: ARG002 - an observer's signature
        self.started_at = self.clock()

    def step_done(self, report: StepReport) -> None:
        self.ended_at.append(self.clock())
        self.reports.append(report)

    def validated(self, *, step: int, loss: float, advice: str | None) -> None: ...

    def sampled(self, *, step: int, prompt: str, sample: str) -> None: ...

    def checkpoint_saved(self, folder: Path, step: int) -> None: ...


def probe(config: TrainingConfig, source: BaseModelSource, dataset: Dataset, *, steps: int = 12) -> ProbeReport:
    """Train so many steps of the run as it would begin, in a folder that is thrown away, and time them.

    Nothing is validated, sampled or saved meanwhile; the first two steps warm up and do not count.
    Raises: TrainerError.
    """
    if steps < FEWEST_STEPS:
        raise BadInput("--steps", f"a probe takes at least {FEWEST_STEPS} steps, {WARM_UP_STEPS} of them to warm up")
    observer = StepClock()
    with tempfile.TemporaryDirectory(prefix="lora-probe-") as folder:
        only_steps = {"max_steps": steps, "save_steps": NEVER, "sample_prompts": (), "validation_split": 0.0}
        elsewhere = {"output_dir": folder, "resume": "never", "resume_from": None, "log_to": None}
        run_training(
            config.model_copy(update=only_steps | elsewhere), source, dataset, observer=observer, stop=StopFlag()
        )
    trained, _ = hold_out_rows(len(dataset.rows), config)
    return summarize(observer, plan_steps(len(trained), config).total_steps)


def summarize(observer: StepClock, steps: int) -> ProbeReport:
    """Project the steps measured onto a run of `steps`.

    p90 of the run: its mean step is off by the spread of the steps, over the root of how many were measured and of how
    many there will be.
    Raises: BadInput, where the data is too small for the steps to be told from the warm-up.
    """
    moments = [observer.started_at, *observer.ended_at]
    taken = [after - before for before, after in pairwise(moments)][WARM_UP_STEPS:]
    if not taken:
        raise BadInput("epochs", f"the run has no more than {WARM_UP_STEPS} steps: there is nothing to project")
    mean, spread = fmean(taken), _spread(taken, steps)
    start = observer.started_at - observer.began_at
    tokens = sum(report.tokens for report in observer.reports[WARM_UP_STEPS:])
    upper = mean * (1 + Z_90 * spread)
    return ProbeReport(
        measured_steps=len(taken),
        seconds_to_start=start,
        seconds_per_step=Range(mean, upper),
        tokens_per_second=tokens / sum(taken),
        peak_memory_gib=max(report.peak_memory_bytes for report in observer.reports) / BYTES_PER_GIB,
        steps=steps,
        seconds=Range(start + steps * mean, start + steps * upper),
    )


def _spread(taken: Sequence[float], steps: int) -> float:
    """Estimate the standard deviation of the mean step of the whole run, as a share of it."""
    relative = pstdev(taken) / fmean(taken)
    return max(LEAST_SPREAD, relative * math.sqrt(1 / len(taken) + 1 / steps))

"""Whether to compile a model's blocks, and to replay them as CUDA graphs: where what that saves over the whole job is
worth the time that it takes.
"""

from collections.abc import Sequence
from typing import Any

import torch

from pricing.calibration.calibration import Calibration
from pricing.catalog import get_gpu
from pricing.catalog.driver_names import find_sku
from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.run_estimate import estimate_run
from pricing.training.adapter_parameters import UnknownTargetModules
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload
from trainer import __version__
from trainer.base_models.config import BaseModelSource
from trainer.families.family import Family
from trainer.kernels.choice import Choice, choose_compiling, choose_graphs
from trainer.log import write_line
from trainer.machine.accelerator import Accelerator, describe_accelerator
from trainer.profiles.local_profile import find_profile
from trainer.training.graph_trial import GAIN_BAR, choose_rows, try_graphs
from trainer.training.memory_plan import name_layers

# What is left to fuse once norms, adapters, attention and loss are: additions, gates, rotations. Not measured yet: a
# cautious reading of what PyTorch publishes for its compiler, until `make bench-gpu` has run.
GAIN = 0.08
COMPILE_SECONDS = 60.0
COUNTED_STEPS = 1000
GRAPHS_GAIN = 1 - 1 / GAIN_BAR  # the least with which they are taken
TRIAL_SECONDS = 90.0  # compiling once more, and some batches


def compile_if_it_pays(
    family: Family[Any],
    config: TrainingConfig,
    source: BaseModelSource,
    rows: Sequence[Any],
    *,
    steps: int,
    longest: int,
    processes: int = 1,
) -> Choice:
    """Compile the family's blocks if that pays within `steps`, all those of the plan. What fails runs as it is.

    `rows` are those that are trained, `longest` the positions of the longest sample. Returns `eager`, `compile`, or
    `graphs` where the trial took them.
    """
    at = describe_accelerator(next(family.model.parameters()).device)
    seconds = find_step_seconds(at, config, source, longest=longest, family=family)
    choice = plan_compiling(at, steps=steps, step_seconds=seconds)
    if at.is_gpu:
        write_line(f"{'compiling' if choice.kernel == 'compile' else 'not compiled'}: {choice.reason}")
    if choice.kernel != "compile":
        return choice
    torch._dynamo.config.suppress_errors = True  # noqa: SLF001 - its own name: what fails runs as it is
    groups = family.group(rows)
    graphs = choose_graphs(
        shapes=len(set(groups)),
        processes=processes,
        steps=steps,
        step_seconds=seconds,
        gain=GRAPHS_GAIN,
        trial_seconds=TRIAL_SECONDS,
    )
    if graphs.kernel == "try":
        graphs = choice = try_graphs(family, choose_rows(rows, groups, config.batch_size))
    else:
        family.compile_blocks()
    write_line(f"CUDA graphs {'taken' if choice.kernel == 'graphs' else 'not taken'}: {graphs.reason}")
    return choice


def plan_compiling(at: Accelerator, *, steps: int, step_seconds: float | None) -> Choice:
    return choose_compiling(at, steps=steps, step_seconds=step_seconds, gain=GAIN, compile_seconds=COMPILE_SECONDS)


def find_step_seconds(
    at: Accelerator,
    config: TrainingConfig,
    source: BaseModelSource,
    *,
    longest: int,
    family: Family[Any] | type[Family[Any]],
) -> float | None:
    """Find how long a step takes on a GPU of the catalogue; None where nothing is known of it."""
    if at.is_gpu and (sku := find_sku(at.name)) is not None and (profile := find_profile(source)) is not None:
        return estimate_step_seconds(profile, name_layers(config, family), sku, longest)
    return None


def estimate_step_seconds(profile: BaseModelProfile, config: TrainingConfig, sku: str, longest: int) -> float | None:
    """Estimate the seconds of a step of full batches; None where the profile does not know the layers.

    It is the difference of two runs: what a run takes besides its steps falls out.
    """
    once, twice = (_describe_steps(config, longest, steps) for steps in (COUNTED_STEPS, 2 * COUNTED_STEPS))
    try:
        runs = [
            estimate_run(profile, config, work, get_gpu(sku), Calibration(), trainer_version=__version__)
            for work in (once, twice)
        ]
    except UnknownTargetModules:
        return None
    return (runs[1].gpu_seconds.p50 - runs[0].gpu_seconds.p50) / COUNTED_STEPS


def _describe_steps(config: TrainingConfig, longest: int, steps: int) -> Workload:
    rows = config.rows_per_step * steps
    return Workload(
        rows=config.rows_per_step,
        steps=steps,
        micro_batches=steps * config.gradient_accumulation,
        samples=rows,
        tokens=0,
        positions=longest * rows,
        longest=longest,
    )

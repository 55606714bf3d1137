"""`trainer train`: one YAML file, one command, no broker anywhere."""

from rich.console import Console

from pricing.training.config import TrainingConfig
from trainer.base_models.config import BaseModelSource
from trainer.data.dataset import Dataset
from trainer.errors import ExitCode
from trainer.several_devices.processes import Processes, end_together, join_processes, leave_processes
from trainer.stop import StopFlag, StopReason, stopping_on_signals
from trainer.training.console import Silence, showing_progress
from trainer.training.recipe import TrainingResult
from trainer.training.session import FinishedTraining, run_training

EXIT_CODES = {None: ExitCode.SUCCEEDED, StopReason.PREEMPTED: ExitCode.PREEMPTED}


def train_standalone(config: TrainingConfig, source: BaseModelSource, dataset: Dataset, console: Console) -> ExitCode:
    """Train, show how it goes, and say where the adapter is or how to go on. Raises: TrainerError."""
    stop, processes = StopFlag(), join_processes()
    try:
        with stopping_on_signals(stop):
            finished = _train_and_show(config, source, dataset, console, stop, processes)
    except BaseException:
        leave_processes(processes)
        raise
    exit_code = _tell_ending(finished, console, processes)
    end_together(processes, exit_code)
    return exit_code


def _tell_ending(finished: FinishedTraining, console: Console, processes: Processes) -> ExitCode:
    result = finished.result
    if not processes.is_first:
        return EXIT_CODES.get(result.stopped, ExitCode.STOPPED)
    if finished.adapter is not None:
        console.print(f"{result.tokens} tokens in {result.steps} steps\nadapter: {finished.adapter}")
        return ExitCode.SUCCEEDED
    console.print(describe_stop(result))
    return EXIT_CODES.get(result.stopped, ExitCode.STOPPED)


def describe_stop(result: TrainingResult) -> str:
    if result.checkpoint is None:
        return "stopped before the first step; nothing to keep"
    return f"stopped after step {result.steps}; to go on: --resume-from {result.checkpoint}"


def _train_and_show(
    config: TrainingConfig,
    source: BaseModelSource,
    dataset: Dataset,
    console: Console,
    stop: StopFlag,
    processes: Processes,
) -> FinishedTraining:
    if not processes.is_first:
        return run_training(config, source, dataset, observer=Silence(), stop=stop, processes=processes)
    with showing_progress(console=console) as shown:
        return run_training(config, source, dataset, observer=shown, stop=stop, processes=processes)

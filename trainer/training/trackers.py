"""Services that keep the curves of trainings, each told by its own package: MLflow, Weights & Biases, SwanLab.

Where each is, and as whom, stands in the environment variables of its own: `MLFLOW_TRACKING_URI`, `WANDB_API_KEY`,
`SWANLAB_API_KEY` and so on. No key is ever a part of a configuration.
"""

import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol

from trainer.errors import BadInput

PROJECT = "lora"
MLFLOW_EXPERIMENT, WANDB_PROJECT = "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT"
SWANLAB_PROJECT = "SWANLAB_PROJ_NAME"  # of SWANLAB_PROJECT, the package's settings want JSON

# Numbers by their names, and the step that they are of.
Entry = tuple[Mapping[str, float], int]


class HowEnded(StrEnum):
    """How a run ended: with its last step, by an error, or because somebody stopped it. MLflow's words."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class Tracker(Protocol):
    """One run at a service."""

    def tell(self, entries: Sequence[Entry]) -> None:
        """Tell numbers of some steps, in their order."""

    def end(self, how: HowEnded, why: str) -> None:
        """Send what is left, and end the run; `why` is said of one that failed."""


class MlflowTracker:
    """A run at MLflow's server, or in a folder where its address says so."""

    def __init__(self, name: str, config: Mapping[str, Any], _folder: Path) -> None:
        self._mlflow = importlib.import_module("mlflow")
        self._client = self._mlflow.MlflowClient()
        experiment = os.environ.get(MLFLOW_EXPERIMENT, PROJECT)
        found = self._client.get_experiment_by_name(experiment)
        experiment_id = self._client.create_experiment(experiment) if found is None else found.experiment_id
        self._run_id = self._client.create_run(experiment_id, run_name=name).info.run_id
        params = [self._mlflow.entities.Param(key, str(value)) for key, value in config.items()]
        self._client.log_batch(self._run_id, params=params)

    def tell(self, entries: Sequence[Entry]) -> None:
        now, kind = int(time.time() * 1000), self._mlflow.entities.Metric
        metrics = [kind(name, value, now, step) for values, step in entries for name, value in values.items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def end(self, how: HowEnded, why: str) -> None:
        if why:
            self._client.set_tag(self._run_id, "error", why)
        self._client.set_terminated(self._run_id, how.value)


class WandbTracker:
    """A run at Weights & Biases, or in a folder where `WANDB_MODE=offline` says so."""

    # The package's own code for Ctrl-C, by which a run that somebody stopped is told from one that failed.
    EXIT_CODES: ClassVar = {HowEnded.FINISHED: 0, HowEnded.FAILED: 1, HowEnded.KILLED: 255}

    def __init__(self, name: str, config: Mapping[str, Any], folder: Path) -> None:
        wandb = importlib.import_module("wandb")
        project = os.environ.get(WANDB_PROJECT, PROJECT)
        told = {"project": project, "name": name, "config": dict(config), "dir": str(folder)}
        # What the console shows, and what machine it is, is nobody's business there.
        not_told = dict.fromkeys(("x_disable_stats", "x_disable_meta", "x_disable_machine_info"), True)
        quiet = wandb.Settings(console="off", silent=True, save_code=False, x_save_requirements=False, **not_told)
        self._run = wandb.init(**told, settings=quiet)

    def tell(self, entries: Sequence[Entry]) -> None:
        for values, step in entries:
            self._run.log(dict(values), step=step)

    def end(self, how: HowEnded, why: str) -> None:
        if why:
            self._run.summary["error"] = why
        self._run.finish(exit_code=self.EXIT_CODES[how])


class SwanlabTracker:
    """A run at SwanLab, or in a folder where `SWANLAB_MODE=offline` or `local` says so."""

    STATES: ClassVar = {HowEnded.FINISHED: "success", HowEnded.FAILED: "crashed", HowEnded.KILLED: "aborted"}

    def __init__(self, name: str, config: Mapping[str, Any], folder: Path) -> None:
        self._swanlab = importlib.import_module("swanlab")
        project = os.environ.get(SWANLAB_PROJECT, PROJECT)
        # What the console shows, and what machine it is, is nobody's business there.
        probed = ("hardware", "runtime", "requirements", "git", "monitor")
        quiet = self._swanlab.Settings(
            interactive=False, terminal={"proxy_type": "none"}, probe=dict.fromkeys(probed, False)
        )
        kept = folder / "swanlog"
        kept.mkdir(exist_ok=True)
        self._swanlab.init(project=project, name=name, config=dict(config), log_dir=str(kept), settings=quiet)

    def tell(self, entries: Sequence[Entry]) -> None:
        for values, step in entries:
            self._swanlab.log(dict(values), step=step)

    def end(self, how: HowEnded, why: str) -> None:
        self._swanlab.finish(state=self.STATES[how], error=why or None)


OpenTracker = Callable[[str, Mapping[str, Any], Path], Tracker]
TRACKERS: Mapping[str, tuple[str, OpenTracker]] = {
    "mlflow": ("mlflow-skinny", MlflowTracker),
    "wandb": ("wandb", WandbTracker),
    "swanlab": ("swanlab", SwanlabTracker),
}


def require_package(name: str) -> OpenTracker:
    """Require that the package of a tracker is installed, and returns what opens a run there. Raises: BadInput."""
    package, opens = TRACKERS[name]
    if importlib.util.find_spec(name) is None:
        raise BadInput("log_to", f"{name} is not installed; run `pip install {package}`, or leave log_to out")
    return opens

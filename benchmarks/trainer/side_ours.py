"""Measured process: our own training, as `trainer train` runs it, observed round by round."""

import sys
from pathlib import Path
from typing import Any

from benchmarks.trainer.rounds import Rounds
from trainer.base_models.config import read_config, resolve_base_model
from trainer.families.registry import read_dataset
from trainer.stop import StopFlag, StopReason
from trainer.training.session import run_training


class RoundObserver:
    """Stops the run, without a checkpoint, when no more rounds are wanted."""

    def __init__(self, epochs: int) -> None:
        self.rounds, self.stop, self._epochs = Rounds(), StopFlag(), epochs

    def training_started(self, *, total_steps: int, **_: Any) -> None:
        self.rounds.steps_per_round = total_steps // self._epochs

    def step_done(self, _report: Any) -> None:
        if not self.rounds.step_done():
            self.stop.request(StopReason.CANCEL)

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None  # whatever else an observer may be told


def main() -> None:
    config = read_config(Path(sys.argv[1]))
    observer = RoundObserver(config.epochs)
    source = resolve_base_model(config.base_model)
    run_training(config, source, read_dataset(config, source), observer=observer, stop=observer.stop)


if __name__ == "__main__":
    main()

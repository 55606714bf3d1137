"""`log_to`: what the console shows, kept elsewhere as well."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pricing.training.config import PATH_KEYS, TrainingConfig
from trainer.training.recipe import Observer
from trainer.training.tensorboard_log import TensorBoardLog
from trainer.training.tracker_log import TrackerLog
from trainer.training.trackers import require_package


@contextmanager
def logging_to(observer: Observer, config: TrainingConfig) -> Iterator[Observer]:
    """Within the block, have the observer with a log beside it where the configuration asks for one. Raises: BadInput.

    A tracker is told the configuration without its paths: they name what is on this machine.
    """
    if config.log_to is None:
        yield observer
        return
    folder = Path(config.output_dir) / "logs"
    if config.log_to == "tensorboard":
        yield TensorBoardLog(observer, folder)
        return
    opens = require_package(config.log_to)
    folder.mkdir(parents=True, exist_ok=True)
    name, told = Path(config.output_dir).resolve().name, config.model_dump(mode="json", exclude=set(PATH_KEYS))
    known = {key: value for key, value in told.items() if value is not None}
    with TrackerLog(observer, config.log_to, lambda: opens(name, known, folder)) as log:
        yield log

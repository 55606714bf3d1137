"""From which checkpoint a run goes on."""

from pathlib import Path

from pricing.training.config import TrainingConfig
from trainer.errors import BadInput
from trainer.training.checkpoint import CheckpointFolder


def find_resume(config: TrainingConfig) -> Path | None:
    """Find the checkpoint of `resume_from`, or with `resume: auto` the last one under `output_dir`; None for a new run.

    Raises: BadInput, where a new run would write among the checkpoints of an earlier one.
    """
    if config.resume_from is not None:
        return Path(config.resume_from)
    latest = CheckpointFolder(Path(config.output_dir) / "checkpoints").find_latest()
    if latest is None or config.resume == "auto":
        return latest
    raise BadInput(
        "output_dir",
        f"{config.output_dir} holds checkpoints of an earlier run; set resume: auto to go on from the last "
        f"(or resume_from: {latest}), name another output_dir, or delete that folder",
    )

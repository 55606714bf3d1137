"""From which checkpoint a run goes on."""

from pathlib import Path

from pricing.training.config import TrainingConfig
from trainer.errors import BadInput, CheckpointUnusable
from trainer.log import write_line
from trainer.training.checkpoint import CheckpointFolder, read_checkpoint


def find_resume(config: TrainingConfig) -> Path | None:
    """Find the checkpoint of `resume_from`, or with `resume: auto` the last one under `output_dir` that can be read;
    None for a new run.

    Raises: BadInput, where a new run would write among the checkpoints of an earlier one; CheckpointUnusable.
    """
    checkpoints = CheckpointFolder(Path(config.output_dir) / "checkpoints")
    if config.resume_from is not None:
        read_checkpoint(Path(config.resume_from))  # before the model is loaded for it
        return Path(config.resume_from)
    latest = checkpoints.find_latest()
    if latest is None:
        return None
    if config.resume == "auto":
        return find_readable(checkpoints)
    raise BadInput(
        "output_dir",
        f"{config.output_dir} holds checkpoints of an earlier run; set resume: auto to go on from the last "
        f"(or resume_from: {latest}), name another output_dir, or delete that folder",
    )


def find_readable(checkpoints: CheckpointFolder) -> Path | None:
    """Find the last checkpoint that can be read, and say which damaged ones were passed over; None if there is none.

    Raises: CheckpointUnusable, where all are damaged.
    """
    damaged: list[str] = []
    for folder in reversed(checkpoints.list_oldest_first()):
        try:
            read_checkpoint(folder)
        except CheckpointUnusable as error:
            damaged.append(str(error).removeprefix("resume_from: "))
            continue
        for words in damaged:
            write_line(f"{words}; going on from the one before it, {folder.name}")
        return folder
    if damaged:
        raise CheckpointUnusable(
            f"resume: no checkpoint in {checkpoints.folder} can be read ({'; '.join(damaged)}); delete that folder to "
            "start anew"
        )
    return None

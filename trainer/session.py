"""A whole training, from configuration to adapter file: what `trainer train` and `trainer run` have in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pricing.estimate.text_rows import ParsedRows
from pricing.estimate.training_config import TrainingConfig
from trainer.adapter_io import Adapter, describe_training, write_adapter
from trainer.checkpoint import CheckpointFolder
from trainer.config import BaseModelSource
from trainer.errors import BadInput
from trainer.families.registry import get_family_class
from trainer.optimizer_step import telling_out_of_memory
from trainer.processes import ALONE, Processes
from trainer.recipe import Observer, TrainingResult, train
from trainer.step_plan import hold_out_rows
from trainer.stop import StopFlag
from trainer.training_state import RunIdentity, seed_generators

if TYPE_CHECKING:
    from trainer.data.image_dataset import ImageDataset


@dataclass(frozen=True)
class FinishedTraining:
    """`adapter` is the file, or None when the run was stopped on the way or another process writes it."""

    result: TrainingResult
    adapter: Path | None


def run_training(
    config: TrainingConfig,
    source: BaseModelSource,
    dataset: "ParsedRows | ImageDataset",
    *,
    observer: Observer,
    stop: StopFlag,
    processes: Processes = ALONE,
) -> FinishedTraining:
    """Load, train, and write checkpoints and the adapter under `output_dir`; of several processes the first writes.

    Raises: TrainerError.
    """
    output = Path(config.output_dir)
    resume_from = Path(config.resume_from) if config.resume_from else None
    checkpoints = CheckpointFolder(output / "checkpoints", resume_from)
    if resume_from is None and checkpoints.find_latest() is not None:
        raise BadInput(
            "output_dir",
            f"{output} holds checkpoints of an earlier run; set resume_from: {checkpoints.find_latest()} to go on "
            "from there, name another output_dir, or delete that folder",
        )
    with processes.first_goes_first():
        family = load_family(source, config)
        examples = family.encode(dataset.rows, max_length=config.max_length)
    seed_generators(config.seed)
    family.attach_adapter(config, source.profile.default_target_modules if source.profile else None)
    identity = RunIdentity(config, source.name, family.fingerprint(examples))
    trained, held_out = ([examples[row] for row in rows] for rows in hold_out_rows(len(examples), config))
    result = train(
        family,
        trained,
        identity,
        checkpoints=checkpoints,
        resume_from=resume_from,
        observer=observer,
        stop=stop,
        held_out=held_out,
        processes=processes,
    )
    if result.stopped is not None or not processes.is_first:
        return FinishedTraining(result, None)
    header = describe_training(config, base_model=source.name, steps=result.steps, tokens=result.tokens)
    adapter = Adapter(family.adapter_tensors(), family.adapter_config(), header)
    return FinishedTraining(result, write_adapter(output, adapter))


def load_family(source: BaseModelSource, config: TrainingConfig | None = None) -> Any:
    """Raises: BadInput, OutOfMemory."""
    with telling_out_of_memory(f"loading {source.name}"):
        return get_family_class(source).load(source, config)

"""A whole training, from configuration to adapter file: what `trainer train` and `trainer run` have in common."""

import gc
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pricing.training.config import TrainingConfig
from pricing.training.step_plan import hold_out_copies, plan_steps
from trainer.base_models.config import BaseModelSource
from trainer.data.dataset import Dataset, EncodingCounts
from trainer.errors import OutOfMemory, TrainerError
from trainer.families.family import Family
from trainer.families.registry import get_family_class
from trainer.formats.adapter import Adapter
from trainer.formats.base_model_hash import hash_base_model_once
from trainer.log import write_line
from trainer.machine.available_memory import read_available_gib
from trainer.several_devices.processes import SINGLE_PROCESS, Processes
from trainer.stop import StopFlag
from trainer.training.adapter_file import describe_training, write_adapter
from trainer.training.checkpoint import CheckpointFolder, read_text_format
from trainer.training.compile_plan import compile_if_it_pays
from trainer.training.memory_plan import find_fits, recompute_if_needed
from trainer.training.optimizer_step import telling_out_of_memory
from trainer.training.optimizers import advise_on_rate
from trainer.training.output_folder import holding_output_folder, refuse_without_room
from trainer.training.recipe import Observer, TrainingResult, train
from trainer.training.resume import find_readable, find_resume
from trainer.training.run_log import logging_to
from trainer.training.state import RunIdentity, seed_generators
from trainer.training.warm_start import start_from_adapter


@dataclass(frozen=True)
class FinishedTraining:
    """`adapter` is the file, or None when the run was stopped on the way or another process writes it."""

    result: TrainingResult
    adapter: Path | None


def run_training(
    config: TrainingConfig,
    source: BaseModelSource,
    dataset: Dataset,
    *,
    observer: Observer,
    stop: StopFlag,
    processes: Processes = SINGLE_PROCESS,
) -> FinishedTraining:
    """Load, train, and write checkpoints and the adapter under `output_dir`; of several processes the first writes.

    On running out of memory the error says what would have fitted; with `auto_fit` the run goes on with it.
    Raises: TrainerError.
    """
    with ExitStack() as held:
        if processes.is_first:
            held.enter_context(holding_output_folder(Path(config.output_dir)))
            observer = held.enter_context(logging_to(observer, config))
            if advice := advise_on_rate(config):
                write_line(advice)
        return _train_until_it_fits(config, source, dataset, observer=observer, stop=stop, processes=processes)


def _train_until_it_fits(
    config: TrainingConfig,
    source: BaseModelSource,
    dataset: Dataset,
    *,
    observer: Observer,
    stop: StopFlag,
    processes: Processes,
) -> FinishedTraining:
    while True:
        try:
            return _train_once(config, source, dataset, observer=observer, stop=stop, processes=processes)
        except OutOfMemory as error:
            fits = find_fits(config, source)
            if not (config.auto_fit and fits) or processes.count > 1:
                raise OutOfMemory(error.detail, [fit.describe() for fit in fits]) from error
        release_memory()
        latest = find_readable(CheckpointFolder(Path(config.output_dir) / "checkpoints"))
        goes_on = {"resume_from": str(latest), "resume": "never"} if latest else {}
        config = config.model_copy(update=fits[0].changes | goes_on)
        write_line(f"out of memory; auto_fit tries again with {fits[0].describe()}")


def release_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _train_once(
    config: TrainingConfig,
    source: BaseModelSource,
    dataset: Dataset,
    *,
    observer: Observer,
    stop: StopFlag,
    processes: Processes,
) -> FinishedTraining:
    output, available_gib = Path(config.output_dir), read_available_gib()
    with processes.first_goes_first():
        resume_from = find_resume(config)
        checkpoints = CheckpointFolder(output / "checkpoints", resume_from)
        family = load_family(source, config)
        if resume_from is not None and (kept := read_text_format(resume_from)) is not None:
            family.keep_format(kept)
        base_sha256 = hash_base_model_once(source.weights)
        examples = family.encode(dataset.rows, max_length=config.max_length)
    if processes.is_first:
        write_line(describe_rows(dataset, family.encoding_counts))
    seed_generators(config.seed)
    family.attach_adapter(config, source.profile.default_target_modules if source.profile else None)
    if processes.is_first:
        refuse_without_room(output, sum(tensor.nbytes for tensor in family.adapter_tensors().values()))
    if resume_from is None:
        start_from_adapter(family, config, source.name, base_sha256)
    recompute_if_needed(family, config, source, examples, available_gib=available_gib)
    identity = RunIdentity(config, source.name, family.fingerprint(examples), base_sha256)
    trained_rows, held_out_rows = hold_out_copies(family.list_sources(examples), config)
    longest = max(family.count_positions(example) for example in examples)
    steps = plan_steps(len(trained_rows), config).total_steps
    trained = [examples[row] for row in trained_rows]
    compiled = compile_if_it_pays(
        family, config, source, trained, steps=steps, longest=longest, processes=processes.count
    )
    result = train(
        family,
        trained,
        identity,
        checkpoints=checkpoints,
        resume_from=resume_from,
        observer=observer,
        stop=stop,
        held_out=[examples[row] for row in held_out_rows],
        row_numbers=[row + 1 for row in trained_rows],
        processes=processes,
        keeps_gradients=compiled.kernel == "graphs",
    )
    if result.stopped is not None or not processes.is_first:
        return FinishedTraining(result, None)
    facts = {"base_model_sha256": base_sha256, "data_sha256": identity.data_sha256}
    facts |= family.describe_base_file(source, base_sha256)
    if config.max_steps is None:
        facts["epoch"] = str(config.epochs)
    header = describe_training(config, base_model=source.name, steps=result.steps, tokens=result.tokens, facts=facts)
    adapter = Adapter(family.adapter_tensors(), family.adapter_config(), header)
    written = write_adapter(output, adapter)
    if source.published_as is None:
        keep_base_loadable(family, source)
    return FinishedTraining(result, written)


def describe_rows(dataset: Dataset, encoded: EncodingCounts) -> str:
    """Write the one line that says what became of every row."""
    counts = dataset.counts.with_lengths(too_long=encoded.too_long, cut=encoded.cut, refused=encoded.refused)
    return counts.describe()


def keep_base_loadable(family: Family[Any], source: BaseModelSource) -> None:
    """Bring the base model into the layout that its adapter names, for plain peft; the adapter is written already."""
    try:
        family.prepare_weights(source)
    except (OSError, TrainerError) as error:
        write_line(f"the base model is not kept in transformers' layout, so only this trainer loads it: {error}")


def load_family(source: BaseModelSource, config: TrainingConfig | None = None) -> Family[Any]:
    """Load a base model as its family does. Raises: BadInput, OutOfMemory."""
    with telling_out_of_memory(f"loading {source.name}"):
        return get_family_class(source).load(source, config)

"""The training of one assignment: fetch its inputs, train, tell meter, heartbeat and uploads of each step."""

import gc
import math
import os
from pathlib import Path

import torch

from pricing.training.config import TrainingConfig
from pricing.training.config_parsing import parse_training_config
from trainer.base_models.config import BaseModelSource, resolve_added_model, resolve_base_model
from trainer.errors import BadInput
from trainer.families.registry import read_dataset
from trainer.log import write_line
from trainer.protocol.assigned_tracker import telling_tracker
from trainer.protocol.checkpoint_uploads import CheckpointUploads, unpack_folder
from trainer.protocol.client import BrokerClient, RunAssignment
from trainer.protocol.heartbeat import Heartbeat
from trainer.protocol.meter import Meter
from trainer.protocol.retry import keep_trying
from trainer.several_devices.peers import with_peers
from trainer.stop import StopFlag
from trainer.training.checkpoint import name_checkpoint
from trainer.training.recipe import Observer, StepReport
from trainer.training.session import FinishedTraining, run_training


class WorkerObserver:
    """Passes tokens on to the meter, progress and observations to the heartbeat, checkpoints to heartbeat and uploads,
    and everything to the console. Pictures are told from texts by their place in `samples_folder`.
    """

    def __init__(
        self, meter: Meter, heartbeat: Heartbeat, uploads: CheckpointUploads, shown: Observer, samples_folder: Path
    ) -> None:
        self._meter, self._heartbeat, self._uploads = meter, heartbeat, uploads
        self._shown, self._samples_folder = shown, samples_folder
        self._validation_loss: float | None = None

    def training_started(self, *, step: int, total_steps: int) -> None:
        self._shown.training_started(step=step, total_steps=total_steps)

    def step_done(self, report: StepReport) -> None:
        self._meter.add_tokens(report.tokens)
        self._heartbeat.progress = {
            "step": report.step,
            "total_steps": report.total_steps,
            "epoch": report.epoch,
            "loss": report.loss,
            "validation_loss": self._validation_loss,
            "peak_memory_bytes": report.peak_memory_bytes,
        }
        self._heartbeat.observations.add_loss(step=report.step, loss=report.loss)
        self._shown.step_done(report)

    def validated(self, *, step: int, loss: float, advice: str | None) -> None:
        self._shown.validated(step=step, loss=loss, advice=advice)
        if math.isfinite(loss):
            self._validation_loss = loss
        if self._heartbeat.progress is not None:
            self._heartbeat.progress = self._heartbeat.progress | {"validation_loss": self._validation_loss}
        self._heartbeat.observations.add_validation(step=step, loss=loss, advice=advice)

    def sampled(self, *, step: int, prompt: str, sample: str) -> None:
        self._shown.sampled(step=step, prompt=prompt, sample=sample)
        observations = self._heartbeat.observations
        if not sample.startswith(f"{self._samples_folder}{os.sep}"):
            observations.add_text(step=step, prompt=prompt, text=sample)
            return
        try:
            observations.add_picture(step=step, prompt=prompt, file=Path(sample))
        except OSError as error:
            write_line(f"the sample of step {step} is not sent: {error}")

    def checkpoint_saved(self, folder: Path, step: int) -> None:
        """Cut the usage here, before the upload may begin: what is done from now on this checkpoint does not keep."""
        self._heartbeat.keep_usage(step)
        self._shown.checkpoint_saved(folder, step)
        self._uploads.submit(folder, step)


def train_assignment(
    client: BrokerClient, assignment: RunAssignment, work_dir: Path, observer: WorkerObserver, stop: StopFlag
) -> FinishedTraining:
    """Fetch the inputs and train, on all devices of the run. Afterwards the model is let go and the devices are free.

    Raises: TrainerError, ConfigInvalid.
    """
    config = parse_training_config(assignment.config)
    source = find_base_model(assignment, config)
    config = fetch_inputs(client, assignment, config, work_dir)
    dataset = read_dataset(config, source)
    try:
        with (
            with_peers(assignment.gpus, config, work_dir) as processes,
            telling_tracker(observer, assignment, config, work_dir / "tracker") as told,
        ):
            return run_training(config, source, dataset, observer=told, stop=stop, processes=processes)
    finally:
        release_devices()


def find_base_model(assignment: RunAssignment, config: TrainingConfig) -> BaseModelSource:
    """Find the base model by the broker's word: one that its operator added, else the catalogue's. Raises: BadInput."""
    if assignment.base_model is not None:
        return resolve_added_model(assignment.base_model)
    return resolve_base_model(config.base_model, only_catalogue=True)


def fetch_inputs(
    client: BrokerClient, assignment: RunAssignment, config: TrainingConfig, work_dir: Path
) -> TrainingConfig:
    """Download and unpack the data set and the checkpoint, or what the job starts from; return it with their paths."""
    dataset, output = work_dir / "dataset", work_dir / "output"
    archive = work_dir / "dataset.tar"
    keep_trying(lambda: client.download(assignment.dataset, archive))
    unpack_folder(archive, dataset)
    places = {"train_data_dir": str(dataset), "output_dir": str(output), "metadata_path": None, "resume_from": None}
    if assignment.checkpoint is not None:
        remote, archive = assignment.checkpoint, work_dir / "checkpoint.tar"
        keep_trying(lambda: client.download(remote, archive))
        resume_from = output / "checkpoints" / name_checkpoint(remote.step)
        unpack_folder(archive, resume_from)
        places["resume_from"] = str(resume_from)
    places["init_from"] = fetch_start(client, assignment, config, work_dir)
    return config.model_copy(update=places)


def fetch_start(client: BrokerClient, assignment: RunAssignment, config: TrainingConfig, work_dir: Path) -> str | None:
    """Download the adapter that the job starts from, where it does and has no checkpoint yet; returns its place.

    Raises: BadInput, where it was deleted since.
    """
    if config.init_from is None or assignment.checkpoint is not None:
        return None
    remote, place = assignment.init_adapter, work_dir / "init_adapter.safetensors"
    if remote is None:
        raise BadInput("init_from", f"adapter {config.init_from} is gone: it was deleted after the job was submitted")
    keep_trying(lambda: client.download(remote, place))
    return str(place)


def release_devices() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

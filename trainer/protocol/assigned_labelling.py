"""The labelling of one assignment: fetch its pictures, label them, tell meter, heartbeat and uploads of each batch."""

import json
from pathlib import Path

import torch

from pricing.datasets.caption_words import compose_caption
from pricing.training.label_config import LabelConfig, parse_label_config
from trainer.base_models.config import get_placed_weights
from trainer.data.quality_samples import PictureSample, list_pictures
from trainer.errors import BadInput, BaseModelMissing, OutOfMemory
from trainer.labelling.captioner import FolderCaptioner
from trainer.labelling.session import Labels, label_in_batches
from trainer.log import write_line
from trainer.protocol.assigned_training import release_devices
from trainer.protocol.checkpoint_uploads import CheckpointUploads, unpack_folder
from trainer.protocol.client import BrokerClient, RunAssignment
from trainer.protocol.heartbeat import Heartbeat
from trainer.protocol.meter import Meter
from trainer.protocol.retry import keep_trying
from trainer.stop import StopFlag, StopReason
from trainer.training.checkpoint import name_checkpoint

# So many captions are shown while the job runs, spread over its pictures.
SHOWN = 24


class LabelObserver:
    """Passes tokens on to the meter, progress and some captions to the heartbeat, the state to both and to uploads."""

    def __init__(self, meter: Meter, heartbeat: Heartbeat, uploads: CheckpointUploads, folder: Path) -> None:
        self._meter, self._heartbeat, self._uploads, self._folder = meter, heartbeat, uploads, folder
        self.saved = 0

    def batch_done(self, labels: Labels, tokens: int, total: int) -> None:
        self._meter.add_tokens(tokens)
        self._heartbeat.progress = {"step": labels.done, "total_steps": total}

    def show(self, name: str, caption: str, step: int) -> None:
        self._heartbeat.observations.add_text(step=step, prompt=name, text=caption)

    def save(self, labels: Labels) -> None:
        """Write the state, and cut the usage there: what is done from now on it does not keep."""
        if labels.done == self.saved:
            return
        folder = labels.save(self._folder / name_checkpoint(labels.done))
        self._heartbeat.keep_usage(labels.done)
        self._uploads.submit(folder, labels.done)
        self.saved = labels.done


def label_assignment(
    client: BrokerClient, assignment: RunAssignment, work_dir: Path, observer: LabelObserver, stop: StopFlag
) -> Path | None:
    """Fetch the pictures and label them; returns the file of what was said, None where the run was stopped before.

    Raises: TrainerError, ConfigInvalid.
    """
    config = parse_label_config(assignment.config)
    samples, labels = fetch_pictures(client, assignment, config, work_dir)
    observer.saved = labels.done
    try:
        captioner = load_captioner(config)
        is_whole = label_all(captioner, config, samples, labels, observer, stop)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(str(error), [f"batch_size: {max(1, config.batch_size // 2)}"]) from error
    finally:
        release_devices()
    if not is_whole:
        if stop.reason is not StopReason.CANCEL:
            observer.save(labels)
        return None
    for name, why in labels.unusable.items():
        write_line(f"{name}: {why}; not labelled")
    if not labels.said:
        raise BadInput("dataset", "none of its pictures could be opened, so that none is labelled")
    file = work_dir / "output" / "captions.json"
    file.write_text(json.dumps({"pictures": labels.list_pictures()}, ensure_ascii=False), encoding="utf-8")
    return file


def fetch_pictures(
    client: BrokerClient, assignment: RunAssignment, config: LabelConfig, work_dir: Path
) -> tuple[list[PictureSample], Labels]:
    """Download and unpack the data set, and what an earlier run has said; returns the pictures to label, and that."""
    dataset, archive = work_dir / "dataset", work_dir / "dataset.tar"
    (work_dir / "output").mkdir(parents=True, exist_ok=True)
    keep_trying(lambda: client.download(assignment.dataset, archive))
    unpack_folder(archive, dataset)
    samples = [each for each in list_pictures(dataset).samples if config.takes(each.name, each.caption)]
    remote, labels = assignment.checkpoint, Labels()
    if remote is not None:
        kept, before = work_dir / "checkpoint.tar", work_dir / "before"
        keep_trying(lambda: client.download(remote, kept))
        unpack_folder(kept, before)
        labels = Labels.load(before)
        write_line(f"goes on behind {labels.done} of {len(samples)} pictures")
    return samples, labels


def load_captioner(config: LabelConfig) -> FolderCaptioner:
    """Load the captioning model of this name. Raises: BaseModelMissing."""
    assert config.base_model is not None, "the broker names it"
    folder = get_placed_weights(config.base_model)
    try:
        return FolderCaptioner.load(folder, max_new_tokens=config.max_tokens)
    except BadInput as error:
        raise BaseModelMissing(error.cure) from error


def label_all(
    captioner: FolderCaptioner,
    config: LabelConfig,
    samples: list[PictureSample],
    labels: Labels,
    observer: LabelObserver,
    stop: StopFlag,
) -> bool:
    """Label what is left; tells whether all was, or a stop came before."""
    total, style, due = len(samples), config.style, 0.0
    write_line(f"{total} pictures to label, {labels.done} done")
    if stop.reason is not None:
        return labels.done == total
    for said in label_in_batches(captioner, samples, labels, batch_size=config.batch_size):
        tokens = sum(label.tokens for label in said.values())
        observer.batch_done(labels, tokens, total)
        if said and labels.done >= due:
            name, label = next(iter(said.items()))
            observer.show(name, compose_caption(label.words, style), labels.done)
            due = labels.done + total / SHOWN
        write_line(f"labelled {labels.done}/{total} tokens {tokens}")
        if labels.done - observer.saved >= config.save_steps:
            observer.save(labels)
        if stop.reason is not None:
            return labels.done == total
    return True

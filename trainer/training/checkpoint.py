"""Checkpoints on disk: `checkpoints/step-00000100/`, tensors as safetensors and the rest as JSON, never a pickle."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from trainer.atomic_files import writing_folder
from trainer.errors import CheckpointUnusable

TENSORS, FACTS = "state.safetensors", "state.json"
FORMAT = 1
KEPT = 2
NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Checkpoint:
    """ALL state of a run after `step` steps. `facts` are JSON values."""

    step: int
    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]


class CheckpointFolder:
    """The checkpoints of one run, in `folder`. Keeps its last two, and touches none that it did not write.

    A run that goes on from one of them takes them all over: those after it are given up first, with its first save.
    """

    def __init__(self, folder: Path, resumed_from: Path | None = None) -> None:
        self.folder = folder
        is_ours = resumed_from is not None and resumed_from.resolve().parent == folder.resolve()
        self._kept = _order_for_leaving(self.list_oldest_first(), resumed_from) if resumed_from and is_ours else []

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write one checkpoint whole or not at all, and return its folder."""
        final = self.folder / name_checkpoint(checkpoint.step)
        with writing_folder(final) as aside:
            save_file(checkpoint.tensors, aside / TENSORS)
            facts = {
                "format": FORMAT,
                "step": checkpoint.step,
                "tensors_sha256": _hash_file(aside / TENSORS),
                **checkpoint.facts,
            }
            (aside / FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        self._kept = [*(path for path in self._kept if path != final), final]
        while len(self._kept) > KEPT:
            shutil.rmtree(self._kept.pop(0), ignore_errors=True)
        return final

    def list_oldest_first(self) -> list[Path]:
        found = [path for path in self.folder.glob("step-*") if NAME.fullmatch(path.name) and path.is_dir()]
        return sorted(found, key=_read_step)

    def find_latest(self) -> Path | None:
        return next(reversed(self.list_oldest_first()), None)


def name_checkpoint(step: int) -> str:
    return f"step-{step:08d}"


def _read_step(folder: Path) -> int:
    match = NAME.fullmatch(folder.name)
    return int(match[1]) if match else -1


def _order_for_leaving(found: Iterable[Path], resumed_from: Path) -> list[Path]:
    """Order checkpoints so that those which the run went back behind leave first, then the oldest."""
    step = _read_step(resumed_from)
    return sorted(found, key=lambda path: (_read_step(path) <= step, _read_step(path)))


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint. Raises: CheckpointUnusable, if it is not there, damaged, or of a later format."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        tensors = load_file(folder / TENSORS)
        sha256 = _hash_file(folder / TENSORS)
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise CheckpointUnusable(f"resume_from: {folder} is no readable checkpoint ({error})") from error
    if not isinstance(facts, dict):
        raise CheckpointUnusable(f"resume_from: {folder} is no readable checkpoint ({FACTS} holds no object)")
    if facts.get("format") != FORMAT:
        raise CheckpointUnusable(
            f"resume_from: {folder} is of format {facts.get('format')}, this trainer reads {FORMAT}"
        )
    if facts.get("tensors_sha256", sha256) != sha256:
        raise CheckpointUnusable(f"resume_from: {folder} is damaged ({TENSORS} has changed since it was written)")
    if not isinstance(facts.get("step"), int) or facts["step"] < 0:
        raise CheckpointUnusable(f"resume_from: {folder} is damaged (its step is {facts.get('step')!r})")
    return Checkpoint(facts["step"], tensors, facts)


def read_text_format(folder: Path) -> dict[str, Any] | None:
    """Read what stands around the rows of a checkpoint's run, before anything is loaded; None where it does not say.

    What is wrong with the checkpoint is told when it is read whole.
    """
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    kept = facts.get("text_format") if isinstance(facts, dict) else None
    return (
        kept if isinstance(kept, dict) and all(isinstance(each, str | bool | None) for each in kept.values()) else None
    )


def _hash_file(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

"""Checkpoints on disk: `checkpoints/step-00000100/`, tensors as safetensors and the rest as JSON, never a pickle."""

import json
import shutil
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


@dataclass(frozen=True)
class Checkpoint:
    """ALL state of a run after `step` steps. `facts` are JSON values."""

    step: int
    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]


class CheckpointFolder:
    """The checkpoints of one run, in `folder`. Keeps its last two, and touches none that it did not write."""

    def __init__(self, folder: Path, resumed_from: Path | None = None) -> None:
        self.folder = folder
        self._kept = [resumed_from] if resumed_from is not None and resumed_from.parent == folder else []

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write one checkpoint whole or not at all, and return its folder."""
        final = self.folder / name_checkpoint(checkpoint.step)
        with writing_folder(final) as aside:
            save_file(checkpoint.tensors, aside / TENSORS)
            facts = {"format": FORMAT, "step": checkpoint.step, **checkpoint.facts}
            (aside / FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        self._kept = [*(path for path in self._kept if path != final), final]
        while len(self._kept) > KEPT:
            shutil.rmtree(self._kept.pop(0), ignore_errors=True)
        return final

    def find_latest(self) -> Path | None:
        return max(self.folder.glob("step-*"), default=None)


def name_checkpoint(step: int) -> str:
    return f"step-{step:08d}"


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint. Raises: CheckpointUnusable, if it is not there, incomplete, or of a later format."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        tensors = load_file(folder / TENSORS)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointUnusable(f"resume_from: {folder} is no readable checkpoint ({error})") from error
    if facts.get("format") != FORMAT:
        raise CheckpointUnusable(
            f"resume_from: {folder} is of format {facts.get('format')}, this trainer reads {FORMAT}"
        )
    return Checkpoint(facts["step"], tensors, facts)

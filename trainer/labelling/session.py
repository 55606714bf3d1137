"""The labelling of many pictures, batch by batch: what was said so far is all its state, and it goes on from that."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from PIL import Image

from trainer.atomic_files import writing_folder
from trainer.data.images import ImageUnusable, open_image
from trainer.data.quality_samples import PictureSample
from trainer.errors import CheckpointUnusable
from trainer.labelling.words import Label, Labeller

STATE = "labels.json"


@dataclass
class Labels:
    """What a model has said, by the names of the pictures; `unusable` are those that could not be opened, with why."""

    said: dict[str, Label] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Count the pictures that are done with."""
        return len(self.said) + len(self.unusable)

    def list_pictures(self) -> list[dict[str, Any]]:
        """List what was said as the broker takes it."""
        return [{"name": name, "words": label.words, "tokens": label.tokens} for name, label in self.said.items()]

    def save(self, folder: Path) -> Path:
        """Write the state whole or not at all, and return its folder."""
        with writing_folder(folder) as aside:
            written = {"pictures": self.list_pictures(), "unusable": self.unusable}
            (aside / STATE).write_text(json.dumps(written, ensure_ascii=False), encoding="utf-8")
        return folder

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises: CheckpointUnusable."""
        try:
            written = json.loads((folder / STATE).read_text(encoding="utf-8"))
            said = {each["name"]: Label(each["words"], each["tokens"]) for each in written["pictures"]}
            return cls(said, dict(written["unusable"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointUnusable(f"{folder} holds no labels that can be read ({error})") from error


def label_in_batches(
    labeller: Labeller, samples: Sequence[PictureSample], labels: Labels, *, batch_size: int
) -> Iterator[dict[str, Label]]:
    """Label the pictures that are not done with; `labels` gets what is said, and each batch of it is yielded, by name.

    Greedy models say the same of a picture in whichever batch it is.
    """
    left = [each for each in samples if each.name not in labels.said and each.name not in labels.unusable]
    for start in range(0, len(left), batch_size):
        opened = list(_open_all(left[start : start + batch_size], labels))
        found = labeller.label([picture for _, picture in opened]) if opened else []
        said = {sample.name: label for (sample, _), label in zip(opened, found, strict=True)}
        labels.said |= said
        yield said


def _open_all(samples: Sequence[PictureSample], labels: Labels) -> Iterator[tuple[PictureSample, Image.Image]]:
    for sample in samples:
        try:
            yield sample, open_image(sample.path)
        except ImageUnusable as error:
            labels.unusable[sample.name] = str(error)

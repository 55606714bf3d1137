"""Tags by a WD14 tagger: its ONNX file, and the `selected_tags.csv` that comes with it. Needs onnxruntime."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.errors import BadInput
from trainer.labelling.words import Label

TAGS_FILE = "selected_tags.csv"
GENERAL, CHARACTER = "0", "4"  # categories of selected_tags.csv; 9 is the rating, which is no tag
GENERAL_THRESHOLD, CHARACTER_THRESHOLD = 0.35, 0.85  # the defaults of SmilingWolf's own demo
LONGEST_SQUARED = 4096


@dataclass(frozen=True)
class Tag:
    name: str
    category: str


class Wd14Tagger:
    """Tags by falling probability. It generates no tokens, so none are billed."""

    def __init__(self, session: Any, tags: list[Tag], threshold: float) -> None:
        self.session, self.tags = session, tags
        self.limits = {GENERAL: threshold, CHARACTER: max(threshold, CHARACTER_THRESHOLD)}
        self.input = session.get_inputs()[0]

    @classmethod
    def load(cls, file: Path, tags_file: Path | None = None, *, threshold: float = GENERAL_THRESHOLD) -> Self:
        """Load a tagger. Raises: BadInput, without onnxruntime, for no such model, or without its tags."""
        try:
            import onnxruntime  # noqa: PLC0415 - optional
        except ImportError as error:
            raise BadInput("--wd14", "needs onnxruntime: run `pip install 'lora-broker[label]'`") from error
        tags = read_tags(tags_file or file.with_name(TAGS_FILE))
        if not file.is_file():
            raise BadInput("--wd14", f"{file} is not there; give the tagger's .onnx file")
        try:
            session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no base class
            raise BadInput("--wd14", f"{file} is no ONNX model that can be loaded ({error})") from error
        return cls(session, tags, threshold)

    def label(self, pictures: Sequence[Image.Image]) -> list[Label]:
        side = self.input.shape[1] if isinstance(self.input.shape[1], int) else 448
        labels = []
        for picture in pictures:
            (probabilities,) = self.session.run(None, {self.input.name: prepare_picture(picture, side)})[:1]
            labels.append(Label(", ".join(self._choose(probabilities[0])), 0))
        return labels

    def _choose(self, probabilities: NDArray[np.float32]) -> list[str]:
        if len(probabilities) != len(self.tags):
            message = f"the model has {len(probabilities)} outputs, {TAGS_FILE} has {len(self.tags)} tags"
            raise BadInput("--wd14", f"{message}; give the file that came with it by --tags")
        order = np.argsort(-probabilities, kind="stable")
        tags = [(self.tags[index], float(probabilities[index])) for index in order]
        return [tag.name for tag, probability in tags if probability >= self.limits.get(tag.category, np.inf)]


def read_tags(file: Path) -> list[Tag]:
    """Read the tags of a tagger's CSV file. Raises: BadInput."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return [Tag(row["name"], row["category"]) for row in csv.DictReader(opened)]
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise BadInput("--tags", f"{file} cannot be read; give the {TAGS_FILE} that came with the tagger") from error


def prepare_picture(picture: Image.Image, side: int) -> NDArray[np.float32]:
    """Turn a picture into what WD14 was trained on: [1, side, side, 3], blue first, 0 to 255, on a white square."""
    if max(picture.size) > LONGEST_SQUARED:  # a strip of 20000 pixels would be a square of 1.6 GB
        scale = LONGEST_SQUARED / max(picture.size)
        picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    longest = max(picture.size)
    square = Image.new("RGB", (longest, longest), "white")
    square.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
    values = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    return np.ascontiguousarray(values[None, :, :, ::-1])

"""What a labelling model gives: words for a picture, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image


@dataclass(frozen=True)
class Label:
    """What a model says of one picture, and how many tokens it generated for that (they are billed)."""

    words: str
    tokens: int


class Labeller(Protocol):
    """Anything that puts pictures (RGB, upright) into words, one Label for each."""

    def label(self, pictures: Sequence[Image.Image]) -> list[Label]: ...

"""Which captions are left empty in which epoch: a pure function, so that the quote counts the very tokens trained."""

import random
from dataclasses import dataclass

from pricing.training.config import TrainingConfig

MILLION = 1_000_000
EMPTY_CAPTION_TOKENS = 2  # begin and end of text


@dataclass(frozen=True)
class CaptionDropout:
    """Each row loses its caption in `share` millionths of the epochs, evenly spread, beginning at a phase of its own.

    Source: systematic sampling (Madow 1949); unlike with a new draw in each epoch, no row loses its caption much more
    often than another, and how often is known without walking through the epochs.
    """

    share: int
    phases: tuple[int, ...]

    def drops(self, row: int, epoch: int) -> bool:
        """Tell whether the row has no caption in this epoch; epochs count from 1."""
        return self.count_drops(row, epoch) > self.count_drops(row, epoch - 1)

    def count_drops(self, row: int, epochs: int) -> int:
        """Count in how many of the first `epochs` the row has no caption."""
        return (self.phases[row] + epochs * self.share) // MILLION if self.share else 0


def plan_caption_dropout(rows: int, config: TrainingConfig) -> CaptionDropout:
    """Draw by the seed in which epochs each of the rows that train loses its caption."""
    share = round(config.caption_dropout * MILLION)
    source = random.Random(f"{config.seed}/captions")  # noqa: S311 - no secret
    return CaptionDropout(share, tuple(source.randrange(MILLION) for _ in range(rows if share else 0)))

"""What a data set is to those who train on it, whatever its rows are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pricing.datasets.row_counts import RowCounts
from pricing.datasets.row_finding import RowFinding


@dataclass(frozen=True)
class EncodingCounts:
    """What was found when rows became examples: too long to learn from, cut at their end, unusable after all."""

    too_long: int = 0
    cut: int = 0
    refused: tuple[RowFinding, ...] = ()


class Dataset(Protocol):
    """The rows that can be used, and why the others cannot."""

    @property
    def rows(self) -> Sequence[Any]: ...

    @property
    def findings(self) -> Sequence[RowFinding]: ...

    @property
    def counts(self) -> RowCounts:
        """Count every row that was read by what became of it."""

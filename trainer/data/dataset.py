"""What a data set is to those who train on it, whatever its rows are."""

from collections.abc import Sequence
from typing import Any, Protocol

from pricing.datasets.text_rows import RowFinding


class Dataset(Protocol):
    """The rows that can be used, and why the others cannot."""

    @property
    def rows(self) -> Sequence[Any]: ...

    @property
    def findings(self) -> Sequence[RowFinding]: ...

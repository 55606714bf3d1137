"""The rows in the order of their worth, each with the seconds that it may take at most; some run where named alone."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gpu.figures import RowResult
from benchmarks.gpu.where import Place


@dataclass(frozen=True)
class BenchRow:
    """A row: `module` of this package whose `measure` it calls, and its box in seconds, start of the process included.

    `measures_for`: the seconds that each side of a comparison is measured.
    """

    name: str
    module: str
    box: float
    keys: Mapping[str, Any] = field(default_factory=dict)
    measures_for: float | None = None

    def measure(self, place: Place) -> RowResult:
        seconds = {} if self.measures_for is None else {"seconds": place.pick(1, 0) * self.measures_for}
        module = importlib.import_module(f"benchmarks.gpu.{self.module}")
        result: RowResult = module.measure(place, **self.keys, **seconds)
        return result


ROWS: Sequence[BenchRow] = (
    BenchRow("machine", "floor", 20),
    BenchRow("correct-text", "correct_text", 40),
    BenchRow("correct-pictures", "correct_pictures", 40),
    BenchRow("text-1b-mixed", "text_speed", 40, {"model": "llama-3.2-1b", "mixed": True}, 8),
    BenchRow("text-1b-fixed", "text_speed", 40, {"model": "llama-3.2-1b", "mixed": False}, 8),
    BenchRow("sd15", "picture_speed", 45, {"kind": "sd15"}, 8),
    BenchRow("round-trips", "round_trips", 40),
    BenchRow("nf4", "quantized", 25),
    BenchRow("text-8b-fixed", "text_speed", 60, {"model": "llama-3.1-8b", "mixed": False}, 10),
    BenchRow("sdxl", "picture_speed", 55, {"kind": "sdxl"}, 8),
    BenchRow("text-8b-mixed", "text_speed", 60, {"model": "llama-3.1-8b", "mixed": True}, 10),
    BenchRow("launches", "launches", 15),
)
ONLY_BY_NAME: Sequence[BenchRow] = (BenchRow("graphs", "graphs", 240, measures_for=8),)  # compiling alone takes minutes


def find_row(name: str) -> BenchRow:
    """Find a row. Raises: LookupError, with the names that there are."""
    for row in (*ROWS, *ONLY_BY_NAME):
        if row.name == name:
            return row
    raise LookupError(f"no row named {name}; there are: {', '.join(row.name for row in (*ROWS, *ONLY_BY_NAME))}")

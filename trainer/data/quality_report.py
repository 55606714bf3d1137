"""What `trainer check` says of a data set: findings with file, line and cure, and the figures under them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pricing.datasets.finding_level import Level
from pricing.datasets.row_counts import RowCounts

HISTOGRAM_BARS = 12


@dataclass(frozen=True)
class Finding:
    """One thing about one file or row, or (with an empty file) about the data set.

    `line` counts from 1, None for a whole file. `is_bad_row`: `--leave-out` leaves this sample out. `other` is the file
    that this one is compared with.
    """

    code: str
    level: Level
    file: str
    line: int | None
    message: str
    cure: str
    is_bad_row: bool = False
    other: str = ""

    @property
    def place(self) -> str:
        if not self.file:
            return "the data set"
        return self.file if self.line is None else f"{self.file} line {self.line}"


@dataclass(frozen=True)
class Histogram:
    """Counts of equal bars; bar i holds values from `edges[i]` up to below `edges[i + 1]`."""

    title: str
    unit: str
    edges: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Thumbnail:
    """A small JPEG of one sample, for the page."""

    file: str
    caption: str
    jpeg: bytes


@dataclass(frozen=True)
class QualityReport:
    """`kind` is `images` or `text`; `figures` are JSON values by name; `kept` names the samples without a bad row."""

    kind: str
    folder: str
    figures: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)
    thumbnails: list[Thumbnail] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    counts: RowCounts = field(default_factory=RowCounts)

    @property
    def counts_by_level(self) -> dict[str, int]:
        counted = Counter(finding.level.value for finding in self.findings)
        return {level.value: counted[level.value] for level in Level}


def to_json_value(report: QualityReport) -> dict[str, Any]:
    """Return what `--json` writes: everything but the pictures."""
    return {
        "kind": report.kind,
        "folder": report.folder,
        "figures": report.figures,
        "row_counts": asdict(report.counts) | {"used": report.counts.used, "line": report.counts.describe()},
        "findings_by_level": report.counts_by_level,
        "findings": [asdict(finding) for finding in report.findings],
        "histograms": [asdict(histogram) for histogram in report.histograms],
        "samples_without_bad_row": len(report.kept),
    }


def sort_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Sort the errors first; within a level the data set's own findings, then by file and line."""
    order = list(Level)
    return sorted(findings, key=lambda f: (order.index(f.level), f.file, f.line or 0, f.code))


def make_histogram(title: str, unit: str, values: Sequence[int]) -> Histogram | None:
    """Make at most 12 bars of one width, a round number (1, 2 or 5 times a power of ten); None without values."""
    if not values:
        return None
    low, high = min(values), max(values)
    width = _round_width((high - low + 1) / HISTOGRAM_BARS)
    first = low // width * width
    counts = [0] * ((high - first) // width + 1)
    for value in values:
        counts[(value - first) // width] += 1
    edges = tuple(first + width * index for index in range(len(counts) + 1))
    return Histogram(title, unit, edges, tuple(counts))


def _round_width(width: float) -> int:
    size = 1
    while True:
        for step in (1, 2, 5):
            if step * size >= width:
                return step * size
        size *= 10

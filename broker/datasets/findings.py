"""What is wrong with a data set, place by place: the first findings, the gravest first, and the number of all. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pricing.datasets.finding_level import Level

MAX_FINDINGS = 200


@dataclass(frozen=True)
class DatasetFinding:
    """What is wrong at one place. `line` counts from 1, None for a whole file; an empty `file` is the data set."""

    file: str
    line: int | None
    level: Level
    message: str

    @property
    def place(self) -> str:
        """Name the place as `train.jsonl:3`."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class FindingReport:
    """The findings of one data set: of each level the first are kept, all are counted."""

    kept: dict[Level, list[DatasetFinding]] = field(default_factory=lambda: {level: [] for level in Level})
    numbers: Counter[Level] = field(default_factory=Counter)

    def add(self, finding: DatasetFinding) -> None:
        self.numbers[finding.level] += 1
        if len(self.kept[finding.level]) < MAX_FINDINGS:
            self.kept[finding.level].append(finding)

    def extend(self, findings: Iterable[DatasetFinding]) -> None:
        for finding in findings:
            self.add(finding)

    @property
    def first(self) -> list[DatasetFinding]:
        """List the first findings: errors before warnings before hints, within a level in the order of the data."""
        return [finding for level in Level for finding in self.kept[level]][:MAX_FINDINGS]

    @property
    def counts(self) -> dict[str, int]:
        """Count the findings of each level; every level is named."""
        return {level.value: self.numbers[level] for level in Level}

"""How many rows of a data set were read, and what became of them: one line, the same wherever it is told. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pricing.datasets.finding_level import Level
from pricing.datasets.row_finding import RowFinding

SHOWN_REASONS = 5
LONGEST_REASON, KEPT_REASONS = 200, 50


@dataclass(frozen=True)
class RefusedRows:
    """Why rows cannot be used, and how many."""

    reason: str
    rows: int


@dataclass(frozen=True)
class RowCounts:
    """Rows (or pictures) in all: each is used, refused, set aside by a word of its own, or too long to learn from.

    `cut` of the used ones lose their end. A quality report knows nothing of lengths: they depend on the base model.
    """

    read: int = 0
    refused: tuple[RefusedRows, ...] = ()
    set_aside: int = 0
    too_long: int = 0
    cut: int = 0
    unit: str = "rows"

    @property
    def refused_rows(self) -> int:
        return sum(each.rows for each in self.refused)

    @property
    def used(self) -> int:
        return self.read - self.refused_rows - self.set_aside - self.too_long

    def with_lengths(self, *, too_long: int, cut: int, refused: Iterable[RowFinding] = ()) -> Self:
        """Add what encoding for a base model found: lengths, and what cannot be used after all."""
        tally = RowTally(refused=Counter({each.reason: each.rows for each in self.refused}))
        tally.add_findings(refused)
        return replace(self, too_long=too_long, cut=cut, refused=tally.sum_up().refused)

    def to_json(self) -> dict[str, Any]:
        """Write what a report keeps of them; lengths are another base model's, and counted anew."""
        refused = [[each.reason[:LONGEST_REASON], each.rows] for each in self.refused]
        return {"read": self.read, "refused": refused, "set_aside": self.set_aside}

    @classmethod
    def from_json(cls, written: Mapping[str, Any], *, unit: str = "rows") -> Self:
        refused = tuple(RefusedRows(reason, rows) for reason, rows in written["refused"])
        return cls(written["read"], refused, written["set_aside"], unit=unit)

    def describe(self, say: Callable[[str], str] = str) -> str:
        """Write the one line: `300 rows read: 147 used, 150 refused (…), 0 set aside, 3 too long, 8 cut`.

        `say` is how reasons are told to whoever reads it.
        """
        shown = [f"{each.rows}: {say(each.reason)}" for each in self.refused[:SHOWN_REASONS]]
        more = sum(each.rows for each in self.refused[SHOWN_REASONS:])
        why = "; ".join([*shown, *([f"{more}: other reasons"] if more else [])])
        told = f"{self.refused_rows} refused ({why})" if why else f"{self.refused_rows} refused"
        return (
            f"{self.read} {self.unit} read: {self.used} used, {told}, {self.set_aside} set aside, "
            f"{self.too_long} too long, {self.cut} cut"
        )


@dataclass
class RowTally:
    """Counts row by row, in the order of the data."""

    usable: int = 0
    set_aside: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def add_finding(self, finding: RowFinding) -> None:
        """Count the rows that a finding stands for; what is only to be known of a row or a file costs none."""
        if finding.level == Level.ERROR:
            self.refused[finding.reason or finding.message] += finding.rows
        elif finding.is_set_aside:
            self.set_aside += finding.rows

    def add_findings(self, findings: Iterable[RowFinding]) -> None:
        for finding in findings:
            self.add_finding(finding)

    def sum_up(self, unit: str = "rows") -> RowCounts:
        """Sum up: the reasons with the most rows first."""
        ranked = self.refused.most_common()
        others = sum(rows for _, rows in ranked[KEPT_REASONS:])
        kept = [*ranked[:KEPT_REASONS], *([("other reasons", others)] if others else [])]
        refused = tuple(RefusedRows(reason, rows) for reason, rows in kept)
        read = self.usable + self.set_aside + sum(each.rows for each in refused)
        return RowCounts(read, refused, self.set_aside, unit=unit)

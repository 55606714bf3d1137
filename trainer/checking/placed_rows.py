"""Every row of the text files with the place where it stands, read by the one reader of quote and training."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pricing.datasets.finding_level import Level
from pricing.datasets.row_counts import RowTally
from pricing.datasets.text_rows import GUESSED, PlacedRow, RowFinding, iter_placed_rows
from trainer.data.quality_report import Finding

CURE = "correct it, or set skip_bad_rows: true to train without it"


@dataclass
class PlacedRows:
    """The usable rows, what is wrong with the others and with whole files, and how many of each there are."""

    rows: list[PlacedRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    tally: RowTally = field(default_factory=RowTally)

    def add_file(self, name: str, content: bytes) -> None:
        for placed in iter_placed_rows([(name, content)]):
            if isinstance(placed, PlacedRow):
                self.rows.append(placed)
                self.tally.usable += 1
            else:
                self.add_finding(placed)

    def add_finding(self, found: RowFinding) -> None:
        self.tally.add_finding(found)
        self.findings.append(_take_over(found))


def place_rows(files: Iterable[tuple[str, bytes | OSError]]) -> PlacedRows:
    """Place the rows of each file. Raises: nothing for what is in the files."""
    placed = PlacedRows()
    for name, content in files:
        if isinstance(content, OSError):
            message = f"cannot be read ({content.strerror})"
            cure = "give it read permission"
            placed.findings.append(Finding("file_unreadable", Level.ERROR, name, None, message, cure))
        elif not content.strip():
            placed.findings.append(Finding("file_empty", Level.ERROR, name, None, "has no content", "delete it"))
        else:
            placed.add_file(name, content)
    return placed


def _take_over(found: RowFinding) -> Finding:
    if found.level == Level.ERROR:
        return Finding("row_unusable", found.level, found.file, found.line, found.message, CURE, is_bad_row=True)
    message, _, cure = found.message.partition("; ")
    if found.is_set_aside:
        cure = "take that key out where it means something else"
        return Finding("row_set_aside", found.level, found.file, found.line, message, cure)
    code = "encoding_guessed" if found.reason == GUESSED else "file_unread"
    return Finding(code, found.level, found.file, None, message, cure)

"""The refusal of data of which something cannot be used: it names each place and its cure."""

from collections.abc import Sequence

from pricing.datasets.row_counts import RowCounts
from pricing.datasets.row_finding import RowFinding
from trainer.errors import BadInput

SHOWN_PROBLEMS = 10
# Of other files, and of metadata.csv, line 1 stands for the whole file.
ROW_SUFFIXES = (".jsonl", ".json", ".parquet")


def refuse_bad_rows(findings: Sequence[RowFinding], *, skip: bool, counts: RowCounts | None = None) -> None:
    """Refuse data with bad rows, unless such are to be left out. Raises: BadInput with every file and its cure."""
    if findings and not skip:
        cure = "cure them, or set skip_bad_rows: true, or max_bad_share, to train without them"
        told = "" if counts is None else f"\n  {counts.describe()}"
        raise BadInput("train_data_dir", list_findings(f"{len(findings)} cannot be used; {cure}", findings) + told)


def list_findings(heading: str, findings: Sequence[RowFinding]) -> str:
    """List the first findings below a heading, and how many more there are."""
    lines = [f"\n  {_describe(finding)}" for finding in findings[:SHOWN_PROBLEMS]]
    more = len(findings) - SHOWN_PROBLEMS
    return heading + "".join(lines) + (f"\n  … and {more} more (`trainer check` lists all)" if more > 0 else "")


def _describe(finding: RowFinding) -> str:
    is_row = finding.line > 1 or finding.file.lower().endswith(ROW_SUFFIXES)
    place = f"{finding.file} line {finding.line}" if is_row else finding.file
    return f"{place} {finding.message}"

"""What is wrong with the data of a quote: refused, or told beside the price. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from broker import errors
from broker.datasets.service import Dataset
from broker.quotes.checking.refusal import name_tolerance
from pricing.datasets.finding_level import Level
from pricing.datasets.row_counts import RefusedRows, RowCounts
from pricing.datasets.row_finding import RowFinding
from pricing.training.config import TrainingConfig

SHOWN = 20


@dataclass(frozen=True)
class QuotedFindings:
    """What a data set's report says, as the quote shows it: all findings by level, and the first, the gravest first.

    `left_out` counts the rows, or pictures, that the quoted training does not read; `rows` counts every row by what
    becomes of it, None in a quote of before it was told.
    """

    counts: Mapping[str, int]
    first: Sequence[Mapping[str, Any]]
    left_out: int
    rows: RowCounts | None = None

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self)) | {"rows": None if self.rows is None else asdict(self.rows)}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "QuotedFindings":
        rows = written.get("rows")
        return cls(
            counts=written["counts"],
            first=written["first"],
            left_out=written["left_out"],
            rows=None if rows is None else read_counts(rows),
        )

    @classmethod
    def of(cls, dataset: Dataset, *, too_long: int, cut: int, bare: int) -> "QuotedFindings":
        """Quote the findings of a data set, and what the planned training makes of its rows; `bare` have no caption."""
        counts = {level.value: int(dataset.finding_counts.get(level.value, 0)) for level in Level}
        refused = [RowFinding("", 1, "has no caption", rows=bare)] if bare else []
        rows = dataset.counted_rows.with_lengths(too_long=too_long, cut=cut, refused=refused)
        return cls(counts, dataset.findings[:SHOWN], rows.read - rows.used, rows)


def read_counts(written: Mapping[str, Any]) -> RowCounts:
    refused = tuple(RefusedRows(**each) for each in written["refused"])
    return RowCounts(**{**written, "refused": refused})


def refuse_bad_rows(dataset: Dataset, config: TrainingConfig) -> None:
    """Refuse data of which something cannot be used, unless the configuration says to train without it.

    Raises: DatasetUnusable, with the first rows and files and what is wrong with each.
    """
    count = dataset.finding_counts.get(Level.ERROR.value, 0)
    rows = dataset.counted_rows
    if not count or config.tolerates_bad(max(count, rows.refused_rows), of=max(rows.read, count)):
        return
    bad = [found for found in dataset.findings if found["level"] == Level.ERROR.value]
    more = f"; {count - 1} more cannot be used" if count > 1 else ""
    field, cure = name_tolerance(config)
    message = f"{_place(bad[0])}: {bad[0]['message']}{more}; {cure} to train without these, or send the data set anew"
    places = [errors.FieldError(f"files.{_place(found)}", found["message"]) for found in bad[:SHOWN]]
    raise errors.DatasetUnusable(
        f"config.{field}: {message}", errors=[errors.FieldError(f"config.{field}", message), *places]
    )


def _place(found: Mapping[str, Any]) -> str:
    return f"{found['file']}:{found['line']}" if found["line"] else str(found["file"])

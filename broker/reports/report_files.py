"""A report as a table, and the table as a file: CSV that goes out piece by piece, or a workbook with heads for people.

Amounts and counts are numbers in a workbook; what customers wrote is text in both, and no formula in either.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal

from fastapi import Response
from fastapi.responses import StreamingResponse

from broker.billing.documents.words import Language
from broker.billing.documents.workbook import WORKBOOK, write_workbook
from broker.http.csv_table import MEDIA_TYPE, write_table
from broker.reports.heads import HEADS

FileFormat = Literal["csv", "xlsx"]
PIECE = 500  # rows
# Columns that are numbers, by how a workbook shows them; amounts and counts are so by what they are.
NUMBERS = {
    **dict.fromkeys(("gpu_hours", "used_gpu_hours", "expected_gpu_hours", "left_gpu_hours", "pace_p50"), "#,##0.0000"),
    **dict.fromkeys(("used_percent", "covered_percent", "attained_percent", "days_left"), "0.0"),
    **dict.fromkeys(("capacity_gpu_hours", "idle_gpu_hours"), "#,##0.0000"),
    "committed_gpu_hours": "#,##0.####",
}
AMOUNT = "#,##0.00"


@dataclass(frozen=True)
class ReportTable:
    """Rows for a file, money as the API has it. `names` are columns that customers wrote, or may have written."""

    stem: str
    columns: Sequence[str]
    rows: Iterable[Mapping[str, Any]]
    names: Sequence[str] = ()


def answer_file(table: ReportTable, as_format: FileFormat, language: Language, now: datetime) -> Response:
    """Answer a table as a file of this format."""
    headers = {"Content-Disposition": f'attachment; filename="{table.stem}.{as_format}"'}
    if as_format == "csv":
        return StreamingResponse(write_csv(table), media_type=MEDIA_TYPE, headers=headers)
    return Response(write_xlsx(table, language, now), media_type=WORKBOOK, headers=headers)


def write_csv(table: ReportTable) -> Iterator[bytes]:
    """Write a table as CSV, in pieces; the first has the heads, which are the API's names."""
    rows, heads = iter(table.rows), True
    while (piece := list(islice(rows, PIECE))) or heads:
        cells = ({name: row[name] for name in table.columns} for row in piece)
        yield write_table(table.columns, cells, names=table.names, heads=heads)
        heads = False


def write_xlsx(table: ReportTable, language: Language, now: datetime) -> bytes:
    """Write a table as a workbook of one sheet, its heads in this language."""
    told = list(table.rows)
    rows = [{name: _to_cell(row[name]) for name in table.columns} for row in told]
    shown = NUMBERS | {name: AMOUNT for row in told for name, cell in row.items() if isinstance(cell, dict)}
    heads = {name: name if language == Language.EN else HEADS[name] for name in table.columns}
    return write_workbook(table.stem[:31], table.columns, rows, made_at=now, shown=shown, heads=heads)


def _to_cell(value: Any) -> str | int | None:
    if isinstance(value, dict):
        return str(value["amount"])
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if value is None or isinstance(value, int) else str(value)

"""A table as an Excel workbook: texts stay texts, amounts are numbers with two places, the same bytes for ever."""

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import xlsxwriter

WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Excel keeps 15 digits of a number; what has more stays text, so that none is lost.
EXACT_DIGITS = 15
# By column: how its numbers are shown.
FORMATS = {"amount": "#,##0.00", "list_amount": "#,##0.00", "gpu_hours": "#,##0.0000"}
FORMATS |= dict.fromkeys(("借方金额", "贷方金额"), "#,##0.00")
PRICES = frozenset({"list_price", "unit_price"})


def write_workbook(
    sheet: str,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, str | int | None]],
    *,
    made_at: datetime,
    shown: Mapping[str, str] = FORMATS,
    heads: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> bytes:
    """Write the bytes of a workbook of one sheet, its heads frozen and filtered. No cell is a formula.

    `shown` are the columns of numbers, by how they are shown; `heads` what stands above columns, or else their names.
    `notes` stand on a second sheet, one a row.
    """
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(buffer, options) as book:
        book.set_properties({"created": made_at.replace(tzinfo=None)})
        page, bold = book.add_worksheet(sheet), book.add_format({"bold": True})
        formats = {name: book.add_format({"num_format": shown[name]}) for name in columns if name in shown}
        page.write_row(0, 0, [name if heads is None else heads[name] for name in columns], bold)
        count = 0
        for count, row in enumerate(rows, start=1):
            for place, name in enumerate(columns):
                _write(page, count, place, row[name], name in shown or name in PRICES, formats.get(name))
        page.freeze_panes(1, 0)
        page.autofilter(0, 0, count, len(columns) - 1)
        page.autofit()
        if notes:
            told = book.add_worksheet("说明")
            told.write_column(0, 0, notes)
            told.autofit()
    return buffer.getvalue()


def _write(
    page: xlsxwriter.worksheet.Worksheet, row: int, column: int, value: str | int | None, is_number: bool, how: object
) -> None:
    if value is None:
        return
    if isinstance(value, str) and not (is_number and _is_exact(value)):
        page.write_string(row, column, value)
        return
    page.write_number(row, column, Decimal(value), how)


def _is_exact(value: str) -> bool:
    return len(Decimal(value).as_tuple().digits) <= EXACT_DIGITS

"""Tables as CSV: money as plain decimals beside its currency, names that no spreadsheet takes for a formula.

No other place writes CSV. It is UTF-8 with a byte order mark: without one Excel takes it for its locale's own encoding,
and Chinese names are mojibake.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Source: OWASP, CSV injection; a spreadsheet in a Chinese or Japanese locale reads the full-width ones as well.
FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")

MEDIA_TYPE = "text/csv; charset=utf-8"
ENCODING = "utf-8-sig"


def write_table(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, names: Sequence[str], heads: bool = True
) -> bytes:
    """Write the bytes of a file with one line for each row.

    `names` are columns that customers wrote, quoted with an apostrophe where needed. Without `heads` it goes on with a
    file that has its heads already.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\r\n")
    if heads:
        writer.writeheader()
    for row in rows:
        amounts = {name: cell["amount"] for name, cell in row.items() if isinstance(cell, dict)}
        writer.writerow({**row, **amounts, **{name: _defuse(row[name]) for name in names}})
    return buffer.getvalue().encode(ENCODING if heads else "utf-8")


def _defuse(name: str | None) -> str | None:
    return f"'{name}" if name and name.lstrip(" ")[:1] in FORMULA_STARTS else name

"""Reading the sheet of a workbook as it is kept: numbers are numbers, texts are texts, a formula is a fault."""

import io
import zipfile
from dataclasses import dataclass
from xml.etree import ElementTree as ET

SPACE = {"": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
Cell = str | float | None


@dataclass(frozen=True)
class Sheet:
    """The rows of a workbook's one sheet, from its heads on, and whether these stay where they are."""

    rows: list[list[Cell]]
    is_frozen: bool


def read_sheet(content: bytes) -> Sheet:
    """Read a workbook of one sheet; a formula anywhere fails."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        page = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
        shared = ET.fromstring(book.read("xl/sharedStrings.xml"))
    assert page.find(".//f", SPACE) is None, "a formula"
    texts = ["".join(part.itertext()) for part in shared.findall("si", SPACE)]
    rows = [_read_row(row, texts) for row in page.findall(".//row", SPACE)]
    pane = page.find(".//pane", SPACE)
    return Sheet(rows, pane is not None and pane.get("state") == "frozen")


def _read_row(row: ET.Element, texts: list[str]) -> list[Cell]:
    cells: dict[int, Cell] = {}
    for cell in row.findall("c", SPACE):
        value = cell.findtext("v", None, SPACE)
        if value is not None:
            column = "".join(filter(str.isalpha, cell.get("r", "")))
            cells[_count(column)] = texts[int(value)] if cell.get("t") == "s" else float(value)
    return [cells.get(place) for place in range(1, max(cells, default=0) + 1)]


def _count(column: str) -> int:
    number = 0
    for letter in column:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number

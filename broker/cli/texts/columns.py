"""Columns side by side without lines between them: what does not fit is said on a line below, never cut in a column."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from broker.cli.words import translate

GAP = 2


@dataclass(frozen=True)
class Column:
    """A column: its heading, and whether figures stand at its right edge. Its width is that of what is in it."""

    heading: str
    right: bool = False


def make_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> list[Text]:
    """Make the lines of a table, its headings first; `styles` are those of the columns, as rich names them."""
    cells = [[translate(column.heading) for column in columns], *rows]
    widths = [max(cell_len(row[at]) for row in cells) for at in range(len(columns))]
    shown = list(styles) or [""] * len(columns)
    return [
        _make_line(row, columns, widths, ["bold"] * len(columns) if number == 0 else shown)
        for number, row in enumerate(cells)
    ]


def _make_line(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int], styles: Sequence[str]) -> Text:
    line = Text()
    for at, (cell, column, width, style) in enumerate(zip(row, columns, widths, styles, strict=True)):
        room = " " * (width - cell_len(cell))
        is_last = at == len(row) - 1
        line.append(room if column.right else "").append(cell, style or None)
        line.append("" if is_last else ("" if column.right else room) + " " * GAP)
    return line


def make_card(rows: Sequence[tuple[str, str]], width: int) -> list[Text]:
    """Make the lines of labels with what belongs to each, folded at the width. A row without text is left out."""
    known = [(translate(label), text) for label, text in rows if text]
    indent = max((cell_len(label) for label, _text in known), default=0) + GAP + GAP
    lines: list[Text] = []
    for label, text in known:
        for number, part in enumerate(fold(text, width - indent)):
            line = Text(" " * GAP)
            told = label if number == 0 else ""
            line.append(told + " " * (indent - GAP - cell_len(told)), "dim").append(part)
            lines.append(line)
    return lines


def fold(text: str, width: int) -> list[str]:
    """Fold text at spaces, or within a word that is too long; line breaks stay. Widths are in cells."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += _fold_paragraph(paragraph.expandtabs(4), max(width, 10))
    return lines


def _fold_paragraph(paragraph: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in paragraph.split(" "):
        wider = f"{line} {word}" if line else word
        if cell_len(wider) <= width:
            line = wider
            continue
        if line and cell_len(word) <= width:
            lines.append(line)
            line = word
            continue
        *whole, line = _break_word(wider, width)
        lines += whole
    return [*lines, line]


def _break_word(word: str, width: int) -> list[str]:
    pieces, piece, used = [], "", 0
    for character in word:
        cells = cell_len(character)
        if used + cells > width:
            pieces.append(piece)
            piece, used = "", 0
        piece, used = piece + character, used + cells
    return [*pieces, piece]

"""Lists: a page of the API as JSON for programs, or as a table for people."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from rich.text import Text

from broker.cli.output import cut, make_console, write_json, write_lines
from broker.cli.texts.columns import Column, make_table
from broker.client.objects.values import Page

Item = TypeVar("Item")


def collect_page(items: Iterable[Item]) -> Page[Item]:
    """Collect all that there is as one page."""
    return {"data": list(items), "next_cursor": None}


def write_page(page: Page[Item], make_lines: Callable[[Sequence[Item]], list[Text]], *, as_json: bool) -> None:
    """Write a page as it came, or as the lines that are made of it."""
    if as_json:
        write_json(page)
    else:
        write_lines(make_console(), make_lines(page["data"]))


def write_table(
    page: Page[Item], columns: Sequence[Column], make_row: Callable[[Item], Sequence[str]], *, as_json: bool
) -> None:
    """Write a page as it came, or as a table with a row for each of its objects."""
    write_page(page, lambda items: make_table(columns, [make_row(each) for each in items]), as_json=as_json)


def write_table_with_notes(
    page: Page[Item],
    columns: Sequence[Column],
    make_row: Callable[[Item], Sequence[str]],
    make_note: Callable[[Item], str],
    *,
    width: int | None = None,
    as_json: bool,
) -> None:
    """Write a table as `write_table` does, and below a row what does not fit into it, where there is something.

    A row is cut at the width; None: it is not. A note never is.
    """

    def make_lines(items: Sequence[Item]) -> list[Text]:
        heading, *rows = make_table(columns, [make_row(each) for each in items])
        lines = [heading]
        for item, row in zip(items, rows, strict=True):
            note = make_note(item)
            lines += [cut(row, width), Text(f"  {note}", "dim")] if note else [cut(row, width)]
        return lines

    write_page(page, make_lines, as_json=as_json)

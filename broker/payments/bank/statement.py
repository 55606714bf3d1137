"""A statement of the bank as a file: its encoding, where its table begins, and its layout, are recognised. Pure."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from broker import errors
from broker.payments.bank.layouts import LAYOUTS, Amounts, Layout
from broker.payments.bank.lines import StatementLine, split_signed
from broker.payments.bank.values import clean, read_day

# Titles, the account and the period stand above the table.
FIRST_ROWS = 30
DELIMITERS = (",", "\t", ";")
# Rows that add up, below the table.
SUMS = ("合计", "总计", "小计", "借方合计", "贷方合计", "共计")
MOST_LINES, MOST_BYTES = 1000, 5 * 1024 * 1024
# Above the table, of ours: `账号：1102 0200 0900`, or the number in the cell beside it.
ACCOUNT = re.compile(r"(?:账号|账户|帐号)[:, ]*(\d[\d -]{4,}\d)")


@dataclass(frozen=True)
class Statement:
    """The lines of a file, and the layout in which it was written."""

    layout: Layout
    lines: Sequence[StatementLine]


@dataclass(frozen=True)
class _Table:
    """The rows below the header, numbered as in the file, and where each field is."""

    layout: Layout
    places: dict[str, int]
    rows: Sequence[tuple[int, list[str]]]
    account: str = ""


def read_statement(content: bytes, layout: str | None = None) -> Statement:
    """Read a file, in the layout that is named or else the one that it fits. Raises: InvalidRequest."""
    if layout is not None and layout not in LAYOUTS:
        raise errors.invalid_field("layout", f"is none of {', '.join(LAYOUTS)}")
    if len(content) > MOST_BYTES:
        raise errors.invalid_field("file", f"has more than {MOST_BYTES} bytes; send it in parts")
    rows = _split(_decode(content))
    table = _find_table(rows, [LAYOUTS[layout]] if layout is not None else list(LAYOUTS.values()))
    lines = list(_list_lines(table))
    if not lines:
        raise errors.invalid_field("file", "has a header, and no line below it")
    if len(lines) > MOST_LINES:
        raise errors.invalid_field("file", f"has {len(lines)} lines; send at most {MOST_LINES} at once")
    return Statement(table.layout, lines)


def _decode(content: bytes) -> str:
    """Decode UTF-8, with or without a mark before it, or else the encoding that banks' programs write (GBK)."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise errors.invalid_field("file", "is neither UTF-8 nor GBK text; export the statement as CSV")


def _split(text: str) -> list[list[str]]:
    head = "\n".join(text.splitlines()[:FIRST_ROWS])
    delimiter = max(DELIMITERS, key=head.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise errors.invalid_field("file", f"is no CSV: {error}") from error


def _find_table(rows: Sequence[list[str]], layouts: Sequence[Layout]) -> _Table:
    """Find the header and the layout it is of. Raises: InvalidRequest, where there is none, or it fits several."""
    for place, row in enumerate(rows[:FIRST_ROWS]):
        found = [(each, places) for each in layouts if (places := each.find_columns(row)) is not None]
        most = max((len(places) for _each, places in found), default=0)
        fitting = [(each, places) for each, places in found if len(places) == most]
        if len(fitting) > 1:
            names = " and ".join(each.name for each, _places in fitting)
            raise errors.invalid_field("layout", f"must be named: the file fits {names}")
        if fitting:
            ((layout, places),) = fitting
            below = list(enumerate(rows[place + 1 :], place + 2))
            return _Table(layout, places, below, _find_account(rows[:place]))
    needed = "; ".join(f"{each.name}: {', '.join(each.columns[name][0] for name in each.needed)}" for each in layouts)
    raise errors.invalid_field("file", f"has no header of a known layout; it needs the columns of one ({needed})")


def _find_account(titles: Sequence[list[str]]) -> str:
    """Find the number of our account in what stands above the table; empty where it says none."""
    found = (ACCOUNT.search(clean(",".join(row))) for row in titles)
    return next((each.group(1) for each in found if each is not None), "")


def _list_lines(table: _Table) -> Iterator[StatementLine]:
    for number, row in table.rows:
        cells = {name: clean(row[place]) if place < len(row) else "" for name, place in table.places.items()}
        told = [clean(cell) for cell in row if clean(cell)]
        line = _make_line(table.layout, number, cells)
        if told and not told[0].startswith(SUMS) and _tells_of_money(line):
            yield line if line.account else replace(line, account=table.account)


def _tells_of_money(line: StatementLine) -> bool:
    """Tell a line from what is printed below the table: that has neither an amount nor a day where lines have it."""
    try:
        read_day(line.value_on)
    except ValueError:
        return bool(line.came or line.went)
    return True


def _make_line(layout: Layout, number: int, cells: dict[str, str]) -> StatementLine:
    came, went = cells.get("credit", ""), cells.get("debit", "")
    if layout.amounts == Amounts.SIGN:
        came, went = split_signed(cells.get("amount", ""))
    if layout.amounts == Amounts.FLAG:
        amount = cells.get("amount", "")
        came, went = (amount, "") if cells.get("flag", "").upper() in layout.credit_flags else ("", amount)
    # A reference stands in one of them, and which one differs from bank to bank.
    remark = " ".join(part for part in (cells.get("remark", ""), cells.get("summary", "")) if part)
    return StatementLine(
        number=number,
        serial=cells.get("serial", ""),
        value_on=cells.get("value_on", ""),
        came=came,
        went=went,
        currency=cells.get("currency", ""),
        account=cells.get("account", ""),
        payer_name=cells.get("payer_name", ""),
        payer_account=cells.get("payer_account", ""),
        payer_bank=cells.get("payer_bank", ""),
        remark=remark,
    )

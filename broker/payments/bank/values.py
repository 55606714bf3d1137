"""The values in a statement, as banks write them: full-width, with separators of thousands, in many forms of a date."""

import re
import unicodedata
from datetime import date

from pricing.money import Money

AMOUNT = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d{1,2}0*)?")
DAY = re.compile(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?(?:[ T]?\d{1,2}[:.时]?\d{2}.*)?")
EARLIEST = date(2020, 1, 1)
OUR_CURRENCY = frozenset({"", "CNY", "RMB", "人民币", "人民币元", "元", "156"})
NOTHING = frozenset({"", "-", "--", "—"})


def clean(text: str) -> str:
    """Clean a cell: full-width signs become usual ones; what spreadsheets put around a number of many digits goes."""
    plain = unicodedata.normalize("NFKC", text).strip().strip("\t'\ufeff")
    if plain.startswith('="') and plain.endswith('"'):
        plain = plain[2:-1]
    return " ".join(plain.split())


def read_amount(text: str) -> Money:
    """Read an amount in yuan; an empty cell is zero. Raises: ValueError, which says what is wrong."""
    plain = clean(text).removeprefix("¥").replace(" ", "")
    if plain in NOTHING:
        return Money.zero()
    if AMOUNT.fullmatch(plain) is None:
        raise ValueError(f"{text!r} is no amount; write it like 1,234.56")
    return Money.from_decimal(plain.replace(",", ""))


def read_day(text: str) -> date:
    """Read the day of a date, with or without a time behind it. Raises: ValueError, which says what is wrong."""
    found = DAY.fullmatch(clean(text))
    if found is None:
        raise ValueError(f"{text!r} is no date; write it like 2026-11-05")
    try:
        day = date(*(int(part) for part in found.groups()))
    except ValueError as error:
        raise ValueError(f"{text!r} is no day of the calendar") from error
    if day < EARLIEST:
        raise ValueError(f"{text!r} is before {EARLIEST}: no books of ours are so old")
    return day


def check_currency(text: str) -> None:
    """Check that a line is in yuan: what another currency is worth is not guessed. Raises: ValueError."""
    if clean(text).upper() not in OUR_CURRENCY:
        raise ValueError(f"is {clean(text)}; only CNY is taken, have the bank convert it and import that line")

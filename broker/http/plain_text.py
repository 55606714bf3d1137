"""Texts that people read on pages and invoices: what would show there as nothing, or as something else, is refused."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

# Controls, ends of lines of other kinds, and what turns the order of the characters after it around.
DISORDERING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
ENDS_OF_LINES = re.compile("[\t\n\r]")
INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
# Letters and signs by their category, and nothing on a page: what fills a place in Hangul, and Braille without a dot.
BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def check_text(text: str) -> str:
    """Check a text of some lines, and return it as it is. Raises: ValueError."""
    if all(character in BLANK or unicodedata.category(character) in INVISIBLE for character in text):
        raise ValueError("has nothing that can be seen; write something")
    if DISORDERING.search(text):
        raise ValueError("has a control character, or one that turns the order of others around; remove it")
    return text


def check_line(text: str) -> str:
    """Check a text of one line, and return it as it is. Raises: ValueError."""
    if ENDS_OF_LINES.search(text):
        raise ValueError("has more than one line, or a tab; write it on one line")
    return check_text(text)


PlainText = Annotated[str, AfterValidator(check_text)]
PlainLine = Annotated[str, AfterValidator(check_line)]

"""What a remark (附言) says of invoices: their references and numbers, however banks and people break them up. Pure."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from broker.billing.reference import is_reference

# A reference (ISO 11649) and an invoice's number, once spaces, dashes and full-width signs are gone.
REFERENCE = re.compile(r"RF\d{2}([A-Z]+)\d+")
NUMBER = re.compile(r"(?<![A-Z])([A-Z]{2,12})\d{10,}")
# A number has a year and at least six digits; a reference has 25 characters at most.
FEWEST_DIGITS, LONGEST_REFERENCE, LONGEST_NUMBER = 10, 25, 26


@dataclass(frozen=True)
class Remark:
    """What a remark names: numbers of invoices without dashes, by their references or as they are; and slips.

    A date may follow at once, so what a reference names has as many readings as fit its check digits: mostly one. A
    slip begins as a reference does, and no reading fits.
    """

    references: tuple[tuple[str, ...], ...]
    numbers: tuple[str, ...] = ()
    slips: tuple[str, ...] = ()

    @property
    def bodies(self) -> set[str]:
        """All numbers that it may name."""
        return {body for bodies in self.references for body in bodies} | set(self.numbers)


def read_remark(text: str) -> Remark:
    """Read which invoices a remark names: by references whose check digits fit, and by numbers that stand alone.

    A reference with other check digits is a slip of the pen: what it would name is not guessed.
    """
    compact = "".join(each for each in unicodedata.normalize("NFKC", text).upper() if each.isascii() and each.isalnum())
    references: list[tuple[str, ...]] = []
    slips: list[str] = []
    for found in REFERENCE.finditer(compact):
        bodies = tuple(each[4:] for each in _list_readings(found, LONGEST_REFERENCE) if is_reference(each))
        if bodies:
            references.append(bodies)
        else:
            slips.append(found.group())
    alone = NUMBER.finditer(REFERENCE.sub(" ", compact))
    numbers = dict.fromkeys(each for found in alone for each in _list_readings(found, LONGEST_NUMBER))
    return Remark(tuple(dict.fromkeys(references)), tuple(numbers), tuple(dict.fromkeys(slips)))


def _list_readings(found: re.Match[str], longest: int) -> Iterator[str]:
    """List the ways to end what was found: after ten of its last digits, or later."""
    shortest = found.end(1) - found.start() + FEWEST_DIGITS
    return (found.group()[:length] for length in range(shortest, min(longest, len(found.group())) + 1))

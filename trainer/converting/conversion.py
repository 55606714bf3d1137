"""What a translation says: our keys, what means something else here, what has no equal, what is not needed."""

import math
import reprlib
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pricing.catalog.key_names import ProgramKeys
from trainer.errors import BadInput

UNSET: tuple[Any, ...] = (None, "", [], {}, False, 0)  # what a key that asks for nothing holds
TRUE, FALSE = {"true", "yes", "1", "on"}, {"false", "no", "0", "off", "none", ""}


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxstring, _SHORT.maxother = 4, 12, 12, 120, 80


def show(value: Any) -> str:
    """Show a value as the file has it, cut where it is long: a YAML of a few lines can hold a list without end."""
    return _SHORT.repr(value)


@dataclass
class Conversion:
    """`config` holds our keys; the lists are sentences, each beginning with the key that it speaks of."""

    config: dict[str, Any] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    no_equal: list[str] = field(default_factory=list)
    not_needed: list[str] = field(default_factory=list)

    def note(self, key: str, words: str) -> None:
        self.changed.append(f"{key}: {words}")

    def lose(self, key: str, value: Any, words: str) -> None:
        self.no_equal.append(f"{key} ({show(value)}): {words}")


class ForeignValues:
    """The values of another program's file; each is taken once, so that what is left can be named."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._left = {str(key): value for key, value in values.items() if value not in (None, "")}

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str, default: Any = None) -> Any:
        return self._left.pop(key, default)

    def peek(self, key: str) -> str | None:
        """Look at what a key holds, as text, and leave it there; None where it is not."""
        return str(self._left[key]) if key in self._left else None

    def text(self, key: str, default: str | None = None) -> str | None:
        """Take a text; a number is one, too. Raises: BadInput."""
        value = self.take(key, default)
        if value is None or value is default:
            return default
        if isinstance(value, bool) or not isinstance(value, str | int | float | date):
            raise BadInput(key, f"{show(value)} is no text")
        written = str(value)
        if any(unicodedata.category(letter) in {"Cc", "Cs"} and letter not in "\t\n" for letter in written):
            raise BadInput(key, f"{show(value)} has characters that are no text")
        return written

    def texts(self, key: str) -> list[str] | None:
        """Take a list of texts, of which one may stand alone; None where there is none. Raises: BadInput."""
        value = self.take(key)
        if value is None:
            return None
        written = value if isinstance(value, list) else [value]
        try:
            return [text for part in written if (text := ForeignValues({key: part}).text(key)) is not None]
        except BadInput as error:
            raise BadInput(key, f"{show(value)} is neither a text nor a list of them") from error

    def add_missing(self, values: dict[str, Any]) -> None:
        """Add keys that the file says in another way; those that it has stay."""
        self._left = values | self._left

    def number(self, key: str, default: float | None = None) -> float | None:
        """Take a number, also one in quotes: YAML reads `1e-4` as text. Raises: BadInput."""
        value = self.take(key, default)
        if value is None or value is default:
            return default
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise BadInput(key, f"{show(value)} is no number")
        return number

    def whole(self, key: str, default: int | None = None) -> int | None:
        """Take a whole number. Raises: BadInput."""
        number = self.number(key)
        if number is None:
            return default
        if number != int(number):
            raise BadInput(key, f"{number:g} is no whole number")
        return int(number)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Take a yes or no. Raises: BadInput."""
        value = self.take(key, default)
        if isinstance(value, bool):
            return value
        if str(value).lower() in TRUE | FALSE:
            return str(value).lower() in TRUE
        raise BadInput(key, f"{show(value)} is neither true nor false")

    def name_rest(self, told: Conversion, keys: ProgramKeys) -> None:
        """Name every key that no rule took, by the table of the program's keys."""
        for key, value in self._left.items():
            if key in keys.not_needed:
                told.not_needed.append(f"{key}: {keys.not_needed[key]}")
            elif value not in UNSET:
                told.lose(key, value, keys.no_equal.get(key, f"is no key that can be translated from {keys.program}"))


def to_number(value: float) -> int | float:
    """Write a whole number without its point."""
    return int(value) if value == int(value) else value

"""What no line of the log may tell: keys, tokens and secrets are struck out of every line, last of all.

No line of ours tells one on purpose. But errors quote what they were given: a URL with its password, a row that the
database refused, what another program answered.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from pydantic import SecretStr

from broker.config import Settings

STRUCK = "[secret]"
# What is looked for first, since most lines have none of it; each shape below has one of these words in it.
MARKS = ("lbk_", "lbs_", "lbr.", "whsec_", "k_live_", "k_test_", "earer ", "asic ", "://", "DETAIL: ", "[parameters: ")
# What stays, and after it what is struck out.
SHAPES = tuple(
    re.compile(rf"({kept})({struck})")
    for kept, struck in (
        (r"lbk_[0-9a-f]{8}_", r"[\w-]+"),  # an API key: its prefix names it, and opens nothing
        (r"lbs_|whsec_|[sr]k_(?:live|test)_", r"[\w+/=-]+"),
        (r"lbr\.", r"[\w.-]+"),
        (r"(?i:bearer|basic) ", r"[\w.~+/-]{16,}=*"),
        (r"://[^\s/?#:@'\"]*:", r"[^\s/?#@'\"]+(?=@)"),  # the password of a URL
        (r"DETAIL: +|\[parameters: ", r"[^\r\n]+"),  # what PostgreSQL and SQLAlchemy quote of rows
    )
)
LEAST_LENGTH = 8  # a shorter word stands in other words, too


@dataclass(frozen=True)
class Redaction:
    """Strikes secrets out of what is told: all that has the shape of one, and those that the settings name."""

    known: re.Pattern[str] | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls.of_secrets(list_secrets(settings))

    @classmethod
    def of_secrets(cls, secrets: Iterable[str]) -> Self:
        words = sorted({re.escape(word) for word in secrets if len(word) >= LEAST_LENGTH}, key=len, reverse=True)
        return cls(re.compile("|".join(words)) if words else None)

    def strike(self, text: str) -> str:
        """Strike out what is secret; a text without any stays as it is."""
        if self.known is not None:
            text = self.known.sub(STRUCK, text)
        for mark in MARKS:
            if mark in text:
                return _strike_shapes(text)
        return text

    def strike_values(self, told: Any) -> Any:
        """Strike out what is secret in every text of a value, however deep it lies."""
        match told:
            case str():
                return self.strike(told)
            case dict():
                return {name: self.strike_values(value) for name, value in told.items()}
            case list() | tuple():
                return [self.strike_values(value) for value in told]
            case _:
                return told


def _strike_shapes(text: str) -> str:
    for shape in SHAPES:
        text = shape.sub(rf"\1{STRUCK}", text)
    return text


def list_secrets(settings: Settings) -> list[str]:
    """List the secrets that an operator has set, as they would stand in a line."""
    told = [settings.secret_key, settings.notice_mail_url, settings.ray_token]
    told += [each.get_secret_value() for each in vars(settings).values() if isinstance(each, SecretStr)]
    return [word for each in told if each for word in (each, *each.split(","))]

"""Which language and theme a page has: chosen in a cookie, or what the browser asks for."""

from dataclasses import dataclass
from typing import Literal, get_args

from babel import Locale, UnknownLocaleError
from fastapi import Request

Language = Literal["en", "zh"]
Theme = Literal["auto", "light", "dark"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
THEMES: tuple[Theme, ...] = get_args(Theme)
LANGUAGE_COOKIE, THEME_COOKIE = "broker_language", "broker_theme"
# What `lang` of the page says, for voices and fonts.
TAGS: dict[Language, str] = {"en": "en", "zh": "zh-CN"}


@dataclass(frozen=True)
class Preferences:
    """How a person wants pages: their language and their colours."""

    language: Language = "en"
    theme: Theme = "auto"

    @property
    def tag(self) -> str:
        return TAGS[self.language]


def read_preferences(request: Request) -> Preferences:
    """Read what the cookies say; without one the language is that which the browser prefers among ours."""
    language, theme = request.cookies.get(LANGUAGE_COOKIE), request.cookies.get(THEME_COOKIE)
    if language not in LANGUAGES:
        language = negotiate_language(request.headers.get("accept-language", ""))
    return Preferences(language, theme if theme in THEMES else "auto")


def negotiate_language(accepted: str) -> Language:
    """Choose the first of the languages that a header accepts, by their weights, which is one of ours; else English."""
    weighed = []
    for part in accepted.split(",")[:20]:
        tag, _, weight = part.partition(";q=")
        weighed.append((-_read_weight(weight), tag.strip()))
    for _weight, tag in sorted(weighed, key=lambda each: each[0]):
        found = _find_language(tag)
        if found is not None:
            return found
    return "en"


def _read_weight(text: str) -> float:
    try:
        return float(text or 1)
    except ValueError:
        return 0.0


def _find_language(tag: str) -> Language | None:
    try:
        language = Locale.parse(tag, sep="-").language
    except (UnknownLocaleError, ValueError):
        return None
    return language if language in LANGUAGES else None

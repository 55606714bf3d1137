"""Which language and theme a page has: chosen in a cookie, or what the browser asks for."""

from dataclasses import dataclass
from typing import Literal, get_args

from fastapi import Request

from broker.http.languages import HEADER, LANGUAGES, TAGS, Language, negotiate_language

Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)
LANGUAGE_COOKIE, THEME_COOKIE = "broker_language", "broker_theme"


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
        language = negotiate_language(request.headers.get(HEADER, ""))
    return Preferences(language, theme if theme in THEMES else "auto")

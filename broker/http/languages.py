"""Which of our languages a caller wants: what its `Accept-Language` says (RFC 9110, section 12.5.4)."""

from typing import Literal, get_args

from babel import Locale, UnknownLocaleError
from fastapi import Request

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
# What `Content-Language`, and `lang` of a page, say: for voices and fonts.
TAGS: dict[Language, str] = {"en": "en", "zh": "zh-CN"}
HEADER = "Accept-Language"
MOST_TAGS = 20


def negotiate_language(accepted: str) -> Language:
    """Choose the language that a header wants most among ours; else English."""
    return find_accepted_language(accepted) or "en"


def find_accepted_language(accepted: str) -> Language | None:
    """Find the first of the languages that a header accepts, by their weights, which is one of ours. Pure."""
    weighed = []
    for part in accepted.split(",")[:MOST_TAGS]:
        tag, _, weight = part.partition(";")
        weighed.append((-_read_weight(weight), tag.strip()))
    ordered = sorted((each for each in weighed if each[0] < 0), key=lambda each: each[0])
    return next((found for _weight, tag in ordered if (found := _find_language(tag)) is not None), None)


def _read_weight(text: str) -> float:
    try:
        return float(text.strip().removeprefix("q=") or 1)
    except ValueError:
        return 0.0


def _find_language(tag: str) -> Language | None:
    try:
        language = Locale.parse(tag, sep="-").language
    except (UnknownLocaleError, ValueError):
        return None
    return language if language in LANGUAGES else None


def find_language(request: Request) -> Language | None:
    """Find the language that a request wants among ours; None where it names none of them."""
    return find_accepted_language(request.headers.get(HEADER, ""))

"""Which of our languages a caller wants: what its `Accept-Language` says (RFC 9110, section 12.5.4)."""

from collections.abc import Callable
from typing import Annotated, Literal, get_args

from babel import Locale, UnknownLocaleError
from fastapi import Depends, Request

from broker.http.access import ADDED_HEADERS
from broker.http.raw_headers import find_header

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
# What `Content-Language`, and `lang` of a page, say: for voices and fonts.
TAGS: dict[Language, str] = {"en": "en", "zh": "zh-CN"}
HEADER = "Accept-Language"
HEADER_NAME = HEADER.lower().encode()
# How a sentence that is told in English is said to somebody.
Say = Callable[[str], str]
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


async def find_saying(request: Request) -> Say:
    """Find how the sentences of an answer are said to its caller: as they are, or as the catalogue of `app.py` says."""
    headers: list[tuple[bytes, bytes]] = request.scope[ADDED_HEADERS]
    headers.append((b"vary", HEADER.encode()))
    accepted = find_header(request.scope, HEADER_NAME)
    language = None if accepted is None else find_accepted_language(accepted)
    if language is None or language == "en":
        return str
    headers.append((b"content-language", TAGS[language].encode()))
    say: Say = request.app.state.find_say(language)
    return say


# For a route whose answer holds sentences of what was found, such as in data, and not only refusals.
Saying = Annotated[Say, Depends(find_saying)]

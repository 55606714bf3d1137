"""In which language the command line speaks, and its words in that language: a catalogue that only Chinese needs.

`--lang`, then BROKER_LANG, go before what the machine's locale says. The standard library only: what shows help imports
no more than this.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files

# The first that is set counts; all but ours are how a machine says it for all programs.
LANGUAGE_VARIABLES = ("BROKER_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
LANGUAGES = ("en", "zh")
OPTION = "--lang"
chosen: ContextVar[str | None] = ContextVar("chosen", default=None)


def take_language(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Take `--lang` out of a command line, wherever it stands before `--`; returns what it says, and the rest."""
    language, rest = None, list[str]()
    words = iter(arguments)
    for word in words:
        if word == "--":
            return language, [*rest, word, *words]
        if word == OPTION:
            language = next(words, "")
        elif word.startswith(f"{OPTION}="):
            language = word.removeprefix(f"{OPTION}=")
        else:
            rest.append(word)
    return language, rest


@contextmanager
def speaking(language: str | None) -> Iterator[None]:
    """Have all that is said meanwhile said in a language; None: in that of the environment."""
    before = chosen.set(language)
    try:
        yield
    finally:
        chosen.reset(before)


def speaks_chinese() -> bool:
    """Tell whether whoever reads has chosen Chinese."""
    told = chosen.get() or next((value for name in LANGUAGE_VARIABLES if (value := os.environ.get(name))), "")
    return told.startswith("zh")


@cache
def load_catalogue() -> dict[str, str]:
    """Load the Chinese of what the command line says in English."""
    with files("broker.cli").joinpath("locales/zh.json").open(encoding="utf-8") as kept:
        words: dict[str, str] = json.load(kept)
    return words


def translate(text: str) -> str:
    """Translate a text of the command line for whoever reads; one that the catalogue lacks stays as it is."""
    return load_catalogue().get(text, text) if text and speaks_chinese() else text


def say(template: str, **values: object) -> str:
    """Say a sentence in the language of whoever reads; `{name}` in it is filled by the value of that name."""
    return translate(template).format(**values)

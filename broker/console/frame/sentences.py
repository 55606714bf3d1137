"""Sentences that services make, in another language: found by their template, with what stood in its places.

A service says what it has to say once, in English: `There is no job job_01k.` The catalogue `sentences` has the
template of each, with numbered places (`There is no {1} {2}.`), and what it is in another language. What no template
fits stays as it is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from broker.console.frame.catalogue import read_catalogue
from broker.http.languages import Language

DOMAIN = "sentences"
PLACE = re.compile(r"\{(\d+)\}")
# A fault of a field as a problem's detail names it: `config.epochs: must be …`.
OF_FIELD = re.compile(r"([\w.\[\]-]+): (.+)", re.DOTALL)
# Values among which one is to be chosen, as pydantic lists them.
QUOTED = re.compile(r"'[^']*'(?:, '[^']*')*(?: or '[^']*')?")
REMEMBERED = 2_000
# Sentences are shorter: what is longer is of who asked, and would be held against each template for nothing.
MOST_CHARACTERS = 600


@dataclass(frozen=True)
class Template:
    """A sentence with places: what it looks like, and what it is in another language. Places may be in another order.

    `numbers`: which place each group of the pattern is.
    """

    pattern: re.Pattern[str]
    numbers: tuple[int, ...]
    other: str

    @classmethod
    def of(cls, sentence: str, other: str) -> "Template":
        *parts, last = PLACE.split(sentence)
        texts, numbers = parts[::2], tuple(int(each) for each in parts[1::2])
        pattern = "(.*?)".join(re.escape(text) for text in (*texts, last))
        return cls(re.compile(pattern, re.DOTALL), numbers, other)

    def fill(self, told: Mapping[int, str]) -> str:
        """Say it in the other language, with this in its places."""
        return PLACE.sub(lambda place: told[int(place[1])], self.other)


class Sentences:
    """What sentences are in one language."""

    def __init__(self, translated: Mapping[str, str]) -> None:
        self.exact = {each: other for each, other in translated.items() if not PLACE.search(each)}
        # The longest first: it says most, and what is left of a shorter one would be taken for a place.
        placed = sorted((each for each in translated if PLACE.search(each)), key=lambda each: (-len(each), each))
        self.templates = [Template.of(each, translated[each]) for each in placed]
        self.known: dict[str, str] = {}

    def say(self, sentence: str) -> str:
        """Say a sentence in this language; one that is not known stays as it is."""
        known = self.known.get(sentence)
        if known is None:
            known = self._find(sentence)
            if len(self.known) >= REMEMBERED:
                self.known.clear()
            self.known[sentence] = known
        return known

    def _find(self, sentence: str) -> str:
        whole = self._find_whole(sentence)
        if whole is not None:
            return whole
        named = OF_FIELD.fullmatch(sentence)
        if named is not None and (said := self._find_whole(named[2])) is not None:
            return f"{named[1]}：{said}"
        parts = sentence.split("; ")
        said_parts = [self._find(part) for part in parts] if len(parts) > 1 else parts
        return self._find_list(sentence) if said_parts == parts else "；".join(said_parts)

    def _find_list(self, sentence: str) -> str:
        """Say a list of words each of which is known; one of values in quotes stays, but for what joins them."""
        if self.exact and QUOTED.fullmatch(sentence):
            return sentence.replace("', '", "'、'").replace("' or '", "' 或 '")
        words = sentence.split(", ")
        return "、".join(self.exact[word] for word in words) if all(word in self.exact for word in words) else sentence

    def _find_whole(self, sentence: str) -> str | None:
        if len(sentence) > MOST_CHARACTERS:
            return None
        return self.exact.get(sentence) or self._fit(sentence)

    def _fit(self, sentence: str) -> str | None:
        """Fit a sentence to a template; what stands in its places is said in this language, too, where it is known."""
        for template in self.templates:
            found = template.pattern.fullmatch(sentence)
            if found is not None:
                told = {number: self.say(text) for number, text in zip(template.numbers, found.groups(), strict=True)}
                return template.fill(told)
        return None


@cache
def load_sentences(language: Language) -> Sentences:
    """Load what sentences are in a language; in English they are what they are."""
    if language == "en":
        return Sentences({})
    catalogue = read_catalogue(language, DOMAIN)
    return Sentences({str(each.id): str(each.string) for each in catalogue if each.id and each.string})

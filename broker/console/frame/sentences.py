"""Sentences that services make, in another language: found by their template, with what stood in its places.

A service says what it has to say once, in English: `There is no job job_01k.` The catalogue `sentences` has the
template of each, with numbered places (`There is no {1} {2}.`), and what it is in another language. What no template
fits stays as it is.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain

from broker.console.frame.catalogue import read_catalogue
from broker.http.languages import Language

DOMAIN = "sentences"
PLACE = re.compile(r"\{(\d+)\}")
# What a sentence is about stands before it, such as a field, or a field and the file that it is of:
# `config.epochs: must be …`, `config.skip_bad_rows: train.jsonl:3: completion is …`.
MOST_NAMES = 2
# Values among which one is to be chosen, as pydantic lists them.
QUOTED = re.compile(r"'[^']*'(?:, '[^']*')*(?: or '[^']*')?")
WORD = re.compile(r"\w+")
REMEMBERED = 2_000
# Sentences are shorter: what is longer is of who asked, and would be held against each template for nothing.
MOST_CHARACTERS = 600
# What is wrong stands before it, and the cure behind.
PARTED = "; "
# So many parts, at most, are held together against the templates: what stands in a place may have a semicolon.
MOST_JOINED = 4
# What has more parts is of who asked, too.
MOST_PARTS = 100


@dataclass(frozen=True)
class Template:
    """A sentence with places: what it looks like, and what it is in another language. Places may be in another order.

    `texts` stand before, between and behind its places, `numbers` are those of the places as they come. `is_parted`:
    it has a semicolon itself.
    """

    texts: tuple[str, ...]
    numbers: tuple[int, ...]
    other: str
    is_parted: bool

    @classmethod
    def of(cls, sentence: str, other: str) -> "Template":
        *parts, last = PLACE.split(sentence)
        return cls((*parts[::2], last), tuple(int(each) for each in parts[1::2]), other, PARTED in sentence)

    def fit(self, sentence: str) -> dict[int, str] | None:
        """Find what stands in its places, as little in each as can be; None where the sentence is another one.

        It looks through the sentence once. A pattern would try each way to part it: what people name their files and
        fields, made for that, would keep the process busy for half a minute.
        """
        first, *between, last = self.texts
        at, end = len(first), len(sentence) - len(last)
        if not (sentence.startswith(first) and sentence.endswith(last)):
            return None
        told = list[str]()
        for text in between:
            found = sentence.find(text, at, max(at, end))
            if found < 0:
                return None
            told.append(sentence[at:found])
            at = found + len(text)
        return None if at > end else dict(zip(self.numbers, [*told, sentence[at:end]], strict=True))

    def fill(self, told: Mapping[int, str]) -> str:
        """Say it in the other language, with this in its places."""
        return PLACE.sub(lambda place: told[int(place[1])], self.other)


class Sentences:
    """What sentences are in one language."""

    def __init__(self, translated: Mapping[str, str]) -> None:
        self.exact = {each: other for each, other in translated.items() if not PLACE.search(each)}
        # The longest first: it says most, and what is left of a shorter one would be taken for a place.
        placed = sorted({*translated} - {*self.exact}, key=lambda each: (-len(PLACE.sub("", each)), each))
        self.templates = [Template.of(each, translated[each]) for each in placed]
        self.numbers_of = _file_by_word(placed)
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
        parts = sentence.split(PARTED, MOST_PARTS)
        if len(parts) > MOST_PARTS:
            return sentence
        if len(parts) > 1:
            whole = self._find_whole(sentence, is_parted=True)
            if whole is not None:
                return whole
            said_parts = [*self._find_parts(parts)]
            if said_parts != parts:
                return "；".join(said_parts)
        whole = self._find_whole(sentence)
        return self._find_list(sentence) if whole is None else whole

    def _find_parts(self, parts: list[str]) -> Iterator[str]:
        """Say parts one by one; some are one sentence only together, as somebody's own words in it were parted, too."""
        at = 0
        while at < len(parts):
            said, end = self._find(parts[at]), at + 1
            if said == parts[at]:
                ends = range(at + 2, min(at + MOST_JOINED, len(parts)) + 1)
                joined = ((last, self._find_whole(PARTED.join(parts[at:last]))) for last in ends)
                end, said = next(((last, whole) for last, whole in joined if whole is not None), (end, said))
            yield said
            at = end

    def _find_list(self, sentence: str) -> str:
        """Say a list of words each of which is known; one of values in quotes stays, but for what joins them."""
        if self.exact and QUOTED.fullmatch(sentence):
            return sentence.replace("', '", "'、'").replace("' or '", "' 或 '")
        words = sentence.split(", ")
        return "、".join(self.exact[word] for word in words) if all(word in self.exact for word in words) else sentence

    def _find_whole(self, sentence: str, *, is_parted: bool = False) -> str | None:
        """Find a sentence as one, or behind the names of what it is about; `is_parted` by one with a semicolon only."""
        if len(sentence) > MOST_CHARACTERS:
            return None
        names = sentence.split(": ", MOST_NAMES)
        for place in range(len(names)):
            if any(PARTED in name for name in names[:place]):
                return None
            rest = ": ".join(names[place:])
            said = self.exact.get(rest) or self._fit(rest, is_parted=is_parted)
            if said is not None:
                return "：".join([*names[:place], said])
        return None

    def _fit(self, sentence: str, *, is_parted: bool) -> str | None:
        """Fit a sentence to a template; what stands in its places is said in this language, too, where it is known."""
        words = {*WORD.findall(sentence), ""}
        for number in sorted(chain.from_iterable(self.numbers_of.get(word, ()) for word in words)):
            template = self.templates[number]
            told = template.fit(sentence) if template.is_parted or not is_parted else None
            if told is not None:
                return template.fill({place: self.say(text) for place, text in told.items()})
        return None


def _file_by_word(templates: list[str]) -> dict[str, list[int]]:
    """File the numbers of templates by the rarest word that each has; "" where a template has none of its own.

    A sentence is held against those of its words only, and not against all.
    """
    words = [[*_list_words(each)] for each in templates]
    counts = Counter(chain.from_iterable(words))
    filed: dict[str, list[int]] = {}
    for number, own in enumerate(words):
        filed.setdefault(min(own, key=lambda word: (counts[word], word), default=""), []).append(number)
    return filed


def _list_words(template: str) -> Iterator[str]:
    """List the words of a template that are words of each sentence by it: they touch no place."""
    texts = PLACE.split(template)[::2]
    for number, text in enumerate(texts):
        is_first, is_last = number == 0, number == len(texts) - 1
        found = WORD.finditer(text)
        yield from (each[0] for each in found if (each.start() or is_first) and (each.end() < len(text) or is_last))


@cache
def load_sentences(language: Language) -> Sentences:
    """Load what sentences are in a language; in English they are what they are."""
    if language == "en":
        return Sentences({})
    catalogue = read_catalogue(language, DOMAIN)
    return Sentences({str(each.id): str(each.string) for each in catalogue if each.id and each.string})

"""What is wrong with a caption: nothing there, too short to tell pictures apart, or praise instead of content."""

from dataclasses import dataclass

from pricing.datasets.finding_level import Level
from pricing.datasets.thresholds import (
    CHINESE_CHARACTER,
    CONCRETE_WORDS,
    FILLER_ENGLISH,
    MIN_CAPTION_WORDS,
    VAGUE_CHINESE,
    VAGUE_ENGLISH,
    WORD,
)

CURE = "name what is to be seen: subject, material, colour, light, view"


@dataclass(frozen=True)
class CaptionProblem:
    code: str
    level: Level
    message: str
    cure: str
    is_bad_row: bool = False


def judge_caption(caption: str) -> list[CaptionProblem]:
    """List the problems of one caption, at most one of each kind; a missing caption has no other."""
    if not caption.strip():
        cure = "write one, or run `trainer auto-label`"
        return [CaptionProblem("caption_missing", Level.WARNING, "has no caption", cure, is_bad_row=True)]
    problems = []
    words = count_words(caption)
    if words < MIN_CAPTION_WORDS:
        message = f"caption {caption.strip()!r} is too short: {words:g} words, at least {MIN_CAPTION_WORDS} are needed"
        problems.append(CaptionProblem("caption_short", Level.WARNING, message, CURE))
    vague = find_vague_words(caption)
    if vague:
        concrete = count_words(strip_vague_words(caption, vague))
        level = Level.HINT if concrete >= CONCRETE_WORDS else Level.WARNING
        message = f"caption says {', '.join(vague)}, which no picture shows"
        problems.append(CaptionProblem("caption_vague", level, message, CURE, is_bad_row=concrete == 0))
    return problems


def count_words(text: str) -> float:
    """Count the words that carry content: articles and the like do not, a Chinese character counts as half a word."""
    words = [word for word in WORD.findall(text.lower()) if word not in FILLER_ENGLISH]
    return sum(0.5 if CHINESE_CHARACTER.fullmatch(word) else 1.0 for word in words)


def find_vague_words(text: str) -> list[str]:
    """Find the vague words, each once, in the order of the lists.

    `Nice` with a capital inside a sentence is a town, and not counted.
    """
    spoken = {word.lower() for index, word in enumerate(WORD.findall(text)) if index == 0 or not word.istitle()}
    english = sorted(spoken & VAGUE_ENGLISH)
    chinese: list[str] = []
    for word in VAGUE_CHINESE:
        if word in text and not any(word in longer for longer in chinese):
            chinese.append(word)
    return english + chinese


def strip_vague_words(text: str, vague: list[str]) -> str:
    for word in vague:
        text = text.replace(word, " ") if CHINESE_CHARACTER.match(word) else text
    return " ".join(word for word in WORD.findall(text) if word.lower() not in vague)

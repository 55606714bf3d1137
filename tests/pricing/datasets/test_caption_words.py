"""Captions put together: trigger, words, what was there; in tags and in sentences."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pricing.datasets.caption_words import (
    CaptionConflict,
    CaptionForm,
    LabelStyle,
    compose_caption,
    make_style,
    settle_caption,
)

SENTENCES = LabelStyle("ink", form=CaptionForm.SENTENCES)


@pytest.mark.parametrize(
    ("words", "style", "caption"),
    [
        ("a red kettle", LabelStyle(), "a red kettle"),
        ("a red kettle.", LabelStyle("slwfry"), "slwfry, a red kettle"),
        ("red kettle", LabelStyle("slwfry", "a photo of a"), "slwfry, a photo of a red kettle"),
        ("long_hair, 1girl, long hair, ^_^", LabelStyle(), "long hair, 1girl, ^_^"),
        ("1girl, simple_background", LabelStyle("ink", drop=frozenset({"simple background"})), "ink, 1girl"),
        ("ink, kettle", LabelStyle("ink"), "ink, kettle"),
        ("._., a _kettle. .", LabelStyle(), "._., a kettle"),
        ("", LabelStyle("ink"), "ink"),
    ],
)
def test_a_caption_is_trigger_prefix_and_tidy_words(words, style, caption) -> None:
    assert compose_caption(words, style) == caption


@example("0 _0")
@example("a . .")
@example("._.")
@given(st.text(max_size=60) | st.text("a._ 。^,", max_size=20))
def test_composing_again_changes_nothing(words) -> None:
    once = compose_caption(words, LabelStyle("ink"))
    assert compose_caption(once, LabelStyle("ink")) == once


def test_sentences_keep_their_commas_and_the_trigger_comes_once() -> None:
    said = compose_caption("a kettle, red and round, on a table.", SENTENCES)
    assert said == "ink, a kettle, red and round, on a table."
    assert compose_caption(said, SENTENCES) == said
    assert compose_caption("ink", SENTENCES) == "ink"


def test_dropped_tags_are_read_as_tags_are() -> None:
    style = make_style("", "", ["Simple_background", " "])
    assert compose_caption("1girl, simple background", style) == "1girl"


@pytest.mark.parametrize(
    ("before", "new", "conflict", "style", "after"),
    [
        ("", "red kettle", CaptionConflict.IGNORE, LabelStyle(), "red kettle"),
        ("mine", "red kettle", CaptionConflict.IGNORE, LabelStyle(), "mine"),
        ("mine", "red kettle", CaptionConflict.REPLACE, LabelStyle(), "red kettle"),
        ("mine, kettle", "ink, kettle", CaptionConflict.PREPEND, LabelStyle("ink"), "ink, kettle, mine"),
        ("ink, It is old.", "ink, A kettle.", CaptionConflict.PREPEND, SENTENCES, "ink, A kettle. It is old."),
        ("mine", "", CaptionConflict.PREPEND, LabelStyle(), "mine"),
    ],
)
def test_a_caption_that_is_there_stays_goes_or_comes_behind(before, new, conflict, style, after) -> None:
    assert settle_caption(before, new, conflict, style) == after

"""Captions: concrete ones pass in both languages, empty, short and vague ones do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.datasets.caption_quality import judge_caption
from pricing.datasets.finding_level import Level
from pricing.datasets.thresholds import VAGUE_CHINESE, VAGUE_ENGLISH


@pytest.mark.parametrize(
    "caption",
    [
        "a white porcelain cup on an oak table, morning light from the left",
        "red bicycle leaning on a wall in Nice, France",
        "木质桌面上的白瓷茶杯，清晨侧光，俯视",
        "cyberpunk street at night, neon signs in the rain",
    ],
)
def test_a_concrete_caption_has_no_problem(caption) -> None:
    assert judge_caption(caption) == []


@pytest.mark.parametrize("caption", ["", "  \n", "\u3000"])
def test_no_caption_is_a_bad_row_and_nothing_else(caption) -> None:
    (problem,) = judge_caption(caption)
    assert (problem.code, problem.is_bad_row) == ("caption_missing", True)


@pytest.mark.parametrize("caption", ["cup", "a red cup", "茶杯", "the photo of a cup"])
def test_a_short_caption_is_told(caption) -> None:
    assert [problem.code for problem in judge_caption(caption)] == ["caption_short"]


@pytest.mark.parametrize("word", [*sorted(VAGUE_ENGLISH), *VAGUE_CHINESE])
def test_praise_alone_is_a_bad_row(word) -> None:
    vague = [problem for problem in judge_caption(word) if problem.code == "caption_vague"]
    assert [problem.is_bad_row for problem in vague] == [True]


def test_a_vague_word_beside_concrete_ones_is_a_hint() -> None:
    (problem,) = judge_caption("木质桌面上的白瓷茶杯，清晨侧光，高级感")
    assert (problem.code, problem.level) == ("caption_vague", Level.HINT)
    assert "高级感" in problem.message
    assert "质感" not in problem.message


@given(st.text(max_size=80))
def test_any_text_is_judged(caption) -> None:
    codes = [problem.code for problem in judge_caption(caption)]
    assert len(codes) == len(set(codes))
    assert ("caption_missing" in codes) == (not caption.strip())

"""Sizes are filled up to a multiple, and cut at multiples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.families import even_sizes
from trainer.families.even_sizes import count_missing, cut_evenly


@pytest.fixture(params=[1, 16], ids=["as it is", "filled up"], autouse=True, scope="module")
def multiple_of(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(even_sizes, "MULTIPLE_OF", request.param)
        yield request.param


def test_what_is_missing_makes_the_next_multiple(multiple_of) -> None:
    assert [count_missing(size) for size in (0, multiple_of, multiple_of + 1)] == [0, 0, multiple_of - 1]


@given(st.integers(0, 2000))
def test_pieces_cover_everything_in_even_sizes_that_differ_by_one_unit(multiple_of, size) -> None:
    even = size + count_missing(size)
    pieces = cut_evenly(even, largest=160)
    sizes = [piece.stop - piece.start for piece in pieces]
    assert [place for piece in pieces for place in range(piece.start, piece.stop)] == list(range(even))
    assert all(one % multiple_of == 0 and one <= 160 for one in sizes)
    assert max(sizes, default=0) - min(sizes, default=0) <= multiple_of
    assert len(pieces) == -(-even // 160)

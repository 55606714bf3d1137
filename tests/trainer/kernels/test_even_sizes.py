"""Sizes are filled up to a multiple."""

import pytest

from trainer.kernels import even_sizes
from trainer.kernels.even_sizes import count_missing


@pytest.fixture(params=[1, 16], ids=["as it is", "filled up"], autouse=True, scope="module")
def multiple_of(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(even_sizes, "MULTIPLE_OF", request.param)
        yield request.param


def test_what_is_missing_makes_the_next_multiple(multiple_of) -> None:
    assert [count_missing(size) for size in (0, multiple_of, multiple_of + 1)] == [0, 0, multiple_of - 1]

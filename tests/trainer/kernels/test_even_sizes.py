"""Sizes are filled up to a multiple."""

import pytest
import torch

from trainer.kernels import even_sizes
from trainer.kernels.even_sizes import count_missing


@pytest.fixture(params=[1, 16], ids=["as it is", "filled up"], autouse=True, scope="module")
def multiple_of(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(even_sizes, "MULTIPLE_OF", request.param)
        yield request.param


def test_what_is_missing_makes_the_next_multiple(multiple_of) -> None:
    cpu, sizes = torch.device("cpu"), (0, multiple_of, multiple_of + 1)
    assert [count_missing(size, cpu) for size in sizes] == [0, 0, multiple_of - 1]


@pytest.mark.parametrize("device", ["cuda", "meta"])
def test_nothing_is_filled_up_but_on_a_cpu(device) -> None:
    """A past fault: what a profile held depended on the CPU of whoever traced it."""
    assert count_missing(9, torch.device(device)) == 0

"""Dropped captions: evenly spread, and counted without a walk."""

from hypothesis import given
from hypothesis import strategies as st

from pricing.training.caption_dropout import plan_caption_dropout
from pricing.training.config import TrainingConfig


def plan(rows: int, share: float, seed: int = 0):
    return plan_caption_dropout(rows, TrainingConfig(base_model="m", caption_dropout=share, seed=seed))


@given(st.floats(0, 1), st.integers(0, 5), st.integers(0, 60))
def test_the_count_is_that_of_the_epochs_one_by_one(share, seed, epochs):
    dropout = plan(3, share, seed)
    for row in range(3):
        assert dropout.count_drops(row, epochs) == sum(dropout.drops(row, epoch) for epoch in range(1, epochs + 1))


def test_every_row_loses_its_caption_in_its_share_of_the_epochs():
    dropout = plan(50, 0.1)
    assert {dropout.count_drops(row, 100) for row in range(50)} == {10}


def test_rows_lose_their_captions_in_different_epochs():
    dropout = plan(1000, 0.1)
    for epoch in range(1, 11):
        assert 60 < sum(dropout.drops(row, epoch) for row in range(1000)) < 140


def test_nothing_and_everything_are_exact():
    assert not any(plan(4, 0).drops(row, epoch) for row in range(4) for epoch in range(1, 9))
    assert all(plan(4, 1).drops(row, epoch) for row in range(4) for epoch in range(1, 9))

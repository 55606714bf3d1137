"""The order of the rows: all of them, in every epoch, by seed and epoch."""

from hypothesis import given
from hypothesis import strategies as st

from pricing.training.config import TrainingConfig
from pricing.training.step_plan import StepPlan, hold_out_copies, hold_out_rows

plans = st.builds(
    StepPlan,
    rows=st.integers(1, 40),
    batch_size=st.integers(1, 9),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 2**31 - 1),
)


@given(plans)
def test_every_row_comes_once_in_every_epoch(plan: StepPlan) -> None:
    seen: dict[int, list[int]] = {}
    for step in range(plan.total_steps):
        seen.setdefault(plan.epoch_of(step), []).extend(plan.rows_of(step))
    assert sorted(seen) == list(range(1, plan.epochs + 1))
    assert all(sorted(rows) == list(range(plan.rows)) for rows in seen.values())


def test_the_last_batch_of_an_epoch_is_kept() -> None:
    plan = StepPlan(rows=5, batch_size=2, epochs=2, seed=1)
    assert [len(plan.rows_of(step)) for step in range(plan.total_steps)] == [2, 2, 1, 2, 2, 1]


def test_the_order_is_drawn_from_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return StepPlan(rows=30, batch_size=30, epochs=3, seed=seed).rows_of(epoch - 1)

    assert order(1, 1) == order(1, 1)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (1, 2, 3)}) == 6


def test_the_order_is_the_same_on_every_machine() -> None:
    """Guard the value itself: a resumed run may be on another machine."""
    assert StepPlan(rows=8, batch_size=8, epochs=1, seed=0).rows_of(0) == [6, 1, 0, 2, 3, 4, 5, 7]


def test_copies_of_one_picture_are_all_trained_or_all_held_out() -> None:
    sources = [name for name in "abcdefghij" for _ in range(5)]
    config = TrainingConfig(base_model="x", validation_split=0.2, seed=3)
    trained, held_out = hold_out_copies(sources, config)
    assert len(held_out) == 2
    assert len(trained) == 40
    assert {sources[row] for row in trained} & {sources[row] for row in held_out} == set()
    assert all(row % 5 == 0 for row in held_out)


def test_rows_without_copies_are_held_out_as_the_quote_counts_them() -> None:
    for split in (0.0, 0.1, 0.5):
        config = TrainingConfig(base_model="x", validation_split=split, seed=3)
        assert hold_out_copies(range(11), config) == hold_out_rows(11, config)


def test_of_one_picture_nothing_is_held_out_however_often_it_is_repeated() -> None:
    config = TrainingConfig(base_model="x", validation_split=0.5)
    assert hold_out_copies(["a"] * 10, config) == (list(range(10)), [])


def test_rows_without_a_source_always_train() -> None:
    config = TrainingConfig(base_model="x", validation_split=0.5)
    trained, held_out = hold_out_copies([None, "a", None, "b", None], config)
    assert {0, 2, 4} < set(trained)
    assert len(held_out) == 1

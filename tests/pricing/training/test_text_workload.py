from itertools import permutations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.training.config import TrainingConfig
from pricing.training.text_workload import plan_text_workload
from pricing.training.workload import NoUsableRow, Workload

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=60)


def config_of(**keys):
    keys = {"batch_size": 2, "epochs": 1, "packing": False, **keys}
    return TrainingConfig(base_model="smollm2-135m-instruct", **keys)


def pad_in_order(lengths, batch_size):
    batches = [lengths[start : start + batch_size] for start in range(0, len(lengths), batch_size)]
    return sum(len(batch) * max(batch) for batch in batches)


def test_a_small_workload_by_hand():
    workload = plan_text_workload([10, 20, 30], config_of(epochs=3))
    assert workload == Workload(
        rows=3, steps=6, micro_batches=6, samples=9, tokens=180, positions=220, longest=30, padding_tokens=40
    )


@given(LENGTHS, st.integers(1, 70), st.integers(1, 20))
def test_every_row_counts_in_every_epoch(lengths, batch_size, epochs):
    workload = plan_text_workload(lengths, config_of(batch_size=batch_size, epochs=epochs))
    assert workload.tokens == epochs * sum(lengths)
    assert workload.rows == len(lengths)
    assert (workload.steps // epochs - 1) * batch_size < len(lengths) <= workload.steps // epochs * batch_size


@given(LENGTHS, st.integers(1, 70))
def test_padding_lies_between_the_bare_tokens_and_the_longest_row_everywhere(lengths, batch_size):
    workload = plan_text_workload(lengths, config_of(batch_size=batch_size))
    assert workload.tokens <= workload.positions <= len(lengths) * max(lengths)


@given(LENGTHS, st.integers(1, 10))
def test_batches_of_one_and_equal_rows_have_no_padding(lengths, batch_size):
    assert plan_text_workload(lengths, config_of(batch_size=1)).positions == sum(lengths)
    equal = [lengths[0]] * len(lengths)
    assert plan_text_workload(equal, config_of(batch_size=batch_size)).positions == sum(equal)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 9])
def test_positions_are_the_mean_over_all_shuffles(batch_size):
    lengths = [3, 50, 7, 120, 11]
    mean = fmean(pad_in_order(order, batch_size) for order in permutations(lengths))
    assert plan_text_workload(lengths, config_of(batch_size=batch_size)).positions == round(mean)


def test_a_row_beyond_max_length_counts_as_cut():
    workload = plan_text_workload([1000, 10], config_of(max_length=256))
    assert (workload.tokens, workload.longest) == (266, 256)


def test_without_a_row_there_is_no_workload():
    with pytest.raises(NoUsableRow):
        plan_text_workload([], config_of())


def test_a_row_without_tokens_is_refused():
    with pytest.raises(ValueError, match="0 tokens"):
        plan_text_workload([5, 0], config_of())

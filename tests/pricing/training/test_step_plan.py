"""What is quoted is what is trained, under every key that changes the steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.resources.method import describe_method
from pricing.resources.run_plan import plan_run
from pricing.training.config import TrainingConfig
from pricing.training.step_plan import hold_out_rows, plan_steps
from pricing.training.text_workload import plan_text_workload

CONFIGS = st.builds(
    TrainingConfig,
    base_model=st.just("m"),
    batch_size=st.integers(1, 5),
    gradient_accumulation=st.integers(1, 4),
    epochs=st.integers(1, 4),
    max_steps=st.none() | st.integers(1, 30),
    validation_split=st.sampled_from([0.0, 0.01, 0.1, 0.5]),
    seed=st.integers(0, 3),
    packing=st.booleans(),
)


def walk(lengths, config):
    """Do what the recipe does: hold out, then step by step."""
    trained, _ = hold_out_rows(len(lengths), config)
    plan = plan_steps(len(trained), config)
    rows = [[trained[row] for row in plan.rows_of(step)] for step in range(plan.total_steps)]
    return len(rows), sum(lengths[row] for step in rows for row in step)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=40), CONFIGS)
def test_quoted_steps_and_tokens_are_those_of_the_walk(lengths, config):
    workload = plan_text_workload(lengths, config)
    assert (workload.steps, workload.tokens) == walk(lengths, config)


@given(st.integers(1, 200), CONFIGS)
def test_held_out_rows_and_the_rest_are_all_rows(rows, config):
    trained, held_out = hold_out_rows(rows, config)
    assert sorted(trained + held_out) == list(range(rows))
    assert trained
    assert (len(held_out) > 0) == (config.validation_split > 0 and rows > 1)


def test_accumulation_makes_fewer_larger_steps_of_the_same_tokens():
    few = plan_text_workload([5] * 10, TrainingConfig(base_model="m", batch_size=2, gradient_accumulation=2, epochs=3))
    many = plan_text_workload([5] * 10, TrainingConfig(base_model="m", batch_size=2, epochs=3))
    assert (few.steps, many.steps) == (9, 15)
    assert few.tokens == many.tokens == 150


def test_max_steps_counts_the_very_rows_of_these_steps():
    lengths = [1, 10, 100, 1000]
    config = TrainingConfig(base_model="m", batch_size=1, epochs=5, max_steps=6, max_length=4096)
    workload = plan_text_workload(lengths, config)
    order = plan_steps(4, config)
    assert workload.tokens == 1111 + sum(lengths[order.rows_of(step)[0]] for step in (4, 5))


def test_held_out_rows_take_time_but_no_tokens(smollm2):
    split = plan_text_workload([50] * 10, TrainingConfig(base_model="m", epochs=2, validation_split=0.2))
    less = plan_text_workload([50] * 8, TrainingConfig(base_model="m", epochs=2))
    assert split.tokens == less.tokens == 800
    assert split.evaluated_positions == 200
    config = TrainingConfig(base_model="m")
    method = describe_method(smollm2, config, "fp32", checkpointing=False)
    works = [plan_run(smollm2, config, workload, method) for workload in (split, less)]
    assert works[0].micro_batches / works[1].micro_batches == pytest.approx(1 + 200 / 800 / 2, rel=0.02)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=40), CONFIGS)
def test_micro_batches_and_rows_are_those_of_the_walk(lengths, config):
    workload = plan_text_workload(lengths, config)
    trained, _ = hold_out_rows(len(lengths), config)
    plan = plan_steps(len(trained), config)
    sizes = [len(plan.rows_of(step)) for step in range(plan.total_steps)]
    assert workload.samples == sum(sizes)
    assert workload.micro_batches == sum(-(-size // config.batch_size) for size in sizes)

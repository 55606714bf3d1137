"""The table of a profile: made by tracing, monotone, and near the truth between its points."""

from functools import partial

import pytest
import torch
from transformers import LlamaConfig

from pricing.catalog import get_base_model
from pricing.training.config import TrainingConfig
from trainer.profiles.catalogue import load_entries
from trainer.profiles.text_network import read_text_config
from trainer.tracing.memory_table import choose_lengths, make_monotone, measure_step, trace_text
from trainer.tracing.text_trace import prepare_text

SHAPE = {"hidden_size": 64, "intermediate_size": 160, "num_attention_heads": 4, "num_key_value_heads": 2}
TINY = LlamaConfig(**SHAPE, vocab_size=9000, num_hidden_layers=1, max_position_embeddings=600)
TARGETS = ("q_proj", "v_proj")


def measure(network, *, samples, length, dtype=torch.bfloat16, checkpointing=False):
    config = TrainingConfig(base_model="m", batch_size=samples, max_length=length, target_modules=list(TARGETS))
    prepare = partial(prepare_text, network, config, dtype, samples=samples, length=length)
    return measure_step(prepare(checkpointing=checkpointing))


@pytest.mark.slow
def test_a_table_has_every_method_and_is_near_what_is_traced_between_its_points():
    table = trace_text(TINY, TARGETS, longest=600)
    assert (table.samples, table.positions) == ((1, 8), (128, 600))
    methods = {(found.bits, found.adapts_all, found.checkpointing, found.variant) for found in table.methods}
    assert len(methods) == 16
    for checkpointing in (False, True):
        found = table.find(bits=16, adapts_all=False, checkpointing=checkpointing)
        between = measure(TINY, samples=3, length=400, checkpointing=checkpointing)
        assert table.interpolate(found.allocated, 3, 400) == pytest.approx(between.allocated, rel=0.05)
        assert table.interpolate(found.reserved, 3, 400) == pytest.approx(between.reserved, rel=0.25, abs=24 * 2**20)


def test_what_ships_is_what_is_traced_and_holds_between_its_points():
    traced = get_base_model("smollm2-135m-instruct").traced
    network = read_text_config(load_entries()["smollm2-135m-instruct"].config)
    kept, recomputed = (traced.find(bits=16, adapts_all=False, checkpointing=on) for on in (False, True))
    at_a_point = measure(network, samples=1, length=128)
    # What ships was traced with 127 places of loss filled up to 128.
    assert at_a_point.allocated <= kept.allocated[0][0] <= 1.01 * at_a_point.allocated
    assert kept.reserved[0][0] == at_a_point.reserved
    between = measure(network, samples=3, length=600, checkpointing=True)
    assert traced.interpolate(recomputed.allocated, 3, 600) == pytest.approx(between.allocated, rel=0.05)


def test_a_larger_batch_never_needs_less_in_a_table():
    assert make_monotone([[5, 4, 9], [3, 6, 8]]) == ((5, 5, 9), (5, 6, 9))


@pytest.mark.parametrize(
    ("longest", "lengths"), [(8192, [128, 1024, 4096]), (2048, [128, 1024, 2048]), (64, [32, 64]), (1, [1, 2])]
)
def test_lengths_end_with_the_context(longest, lengths):
    assert choose_lengths(longest) == lengths

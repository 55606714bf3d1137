"""Merging and resizing against the plain matrices."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from trainer.errors import AdapterUnusable, BadInput
from trainer.formats.combining import Weighted, compute_norm, merge_loras, resize_lora
from trainer.formats.lora_set import LANGUAGE_MODEL, LoraLayer, LoraSet

QUICK = examples(25)


def make_layer(
    rank: int, alpha: float = 8.0, *, seed: int = 0, path: str = "a.q_proj", conv: bool = False
) -> LoraLayer:
    generator = torch.Generator().manual_seed(seed)
    kernel, one = ((3, 3), (1, 1)) if conv else ((), ())
    down, up = torch.randn(rank, 9, *kernel, generator=generator), torch.randn(7, rank, *one, generator=generator)
    return LoraLayer(LANGUAGE_MODEL, path, down, up, alpha)


def change_of(layer: LoraLayer) -> torch.Tensor:
    return layer.scale * layer.up.flatten(1) @ layer.down.flatten(1)


@given(rank=st.integers(2, 6), wanted=st.integers(1, 5), alpha=st.floats(0.5, 16), conv=st.booleans())
@QUICK
def test_a_resize_is_the_best_approximation_there_is(rank, wanted, alpha, conv) -> None:
    layer = make_layer(rank, alpha, conv=conv)
    if wanted >= rank:
        with pytest.raises(BadInput, match="a resize goes down"):
            resize_lora(LoraSet([layer]), wanted)
        return
    resized = resize_lora(LoraSet([layer]), wanted)
    (small,) = resized.lora.layers
    values = torch.linalg.svdvals(change_of(layer))
    lost = torch.linalg.matrix_norm(change_of(layer) - change_of(small))
    assert float(lost) == pytest.approx(float((values[wanted:] ** 2).sum().sqrt()), rel=1e-3, abs=1e-4)
    assert resized.kept == pytest.approx(float((values[:wanted] ** 2).sum() / (values**2).sum()), rel=1e-4)
    assert (small.rank, small.scale) == (wanted, pytest.approx(layer.scale))
    assert small.down.shape[1:] == layer.down.shape[1:]


@given(weights=st.tuples(st.floats(-2, 2), st.floats(-2, 2)), ranks=st.tuples(st.integers(1, 3), st.integers(1, 3)))
@QUICK
def test_a_merge_with_room_for_all_is_the_weighted_sum(weights, ranks) -> None:
    first, second = make_layer(ranks[0], 4.0, seed=1), make_layer(ranks[1], 16.0, seed=2)
    parts = [Weighted(LoraSet([first]), weights[0], "a"), Weighted(LoraSet([second]), weights[1], "b")]
    merged = merge_loras(parts, rank=6)
    expected = weights[0] * change_of(first) + weights[1] * change_of(second)
    torch.testing.assert_close(change_of(merged.lora.layers[0]), expected, rtol=1e-3, atol=1e-3)
    assert merged.kept == pytest.approx(1.0)


def test_layers_that_only_one_has_are_kept() -> None:
    parts = [
        Weighted(LoraSet([make_layer(2, path="a.q_proj")]), 0.5, "a"),
        Weighted(LoraSet([make_layer(2, path="a.v_proj")]), 1.0, "b"),
    ]
    assert {layer.path for layer in merge_loras(parts, rank=2).lora.layers} == {"a.q_proj", "a.v_proj"}


def test_adapters_of_different_base_models_are_not_merged() -> None:
    parts = [
        Weighted(LoraSet([make_layer(2)], header={"base_model": base}), 1.0, name)
        for base, name in (("llama", "a.safetensors"), ("qwen", "b.safetensors"))
    ]
    with pytest.raises(AdapterUnusable, match=r"a\.safetensors of llama; b\.safetensors of qwen"):
        merge_loras(parts, rank=2)


def test_a_dora_is_refused() -> None:
    layer = make_layer(3)
    dora = LoraLayer(layer.component, layer.path, layer.down, layer.up, layer.alpha, torch.ones(7))
    with pytest.raises(AdapterUnusable, match="DoRA"):
        resize_lora(LoraSet([dora]), 2)


def test_the_norm_is_that_of_the_whole_matrix() -> None:
    layer = make_layer(3, 5.0)
    assert compute_norm(layer) == pytest.approx(float(torch.linalg.matrix_norm(change_of(layer))), rel=1e-5)
    assert math.isnan(compute_norm(LoraLayer("", "a", layer.down * math.nan, layer.up, 1.0)))

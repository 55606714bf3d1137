"""Melting a LoRA into its base: into every file that holds the layer, the right way round, or not at all."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainer.errors import AdapterUnusable
from trainer.formats.base_merge import merge_into_base
from trainer.formats.combining import Weighted
from trainer.formats.lora_set import LoraLayer, LoraSet

NAME = "model.layers.0.self_attn.q_proj"


@pytest.fixture
def base(tmp_path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"tie_word_embeddings": True}))
    return folder


def merge(base: Path, layer: LoraLayer, **config) -> Path:
    merge_into_base(base, [Weighted(LoraSet([layer], config), 1.0, "a")], base.with_name("merged"))
    return base.with_name("merged")


def make_layer(name: str = NAME, inputs: int = 6, outputs: int = 4) -> LoraLayer:
    return LoraLayer("", name, torch.randn(2, inputs), torch.randn(outputs, 2), 2.0)


def test_every_file_that_holds_the_layer_is_changed(base) -> None:
    for file in ("model.safetensors", "model.fp16.safetensors"):
        save_file({f"{NAME}.weight": torch.zeros(4, 6)}, base / file)
    merged = merge(base, layer := make_layer())
    for file in ("model.safetensors", "model.fp16.safetensors"):
        assert torch.allclose(load_file(merged / file)[f"{NAME}.weight"], layer.up @ layer.down)


def test_a_base_of_transposed_layers_is_changed_the_right_way_round_or_refused(base) -> None:
    """GPT-2's Conv1D is [in, out]: of as many numbers, so that a view of the change fitted in silence."""
    save_file({f"{NAME}.weight": torch.zeros(6, 4)}, base / "model.safetensors")
    with pytest.raises(AdapterUnusable, match=r"is \[6, 4\] in this base model, and the adapter is for \[4, 6\]"):
        merge(base, layer := make_layer())
    merged = merge(base, layer, fan_in_fan_out=True)
    assert torch.allclose(load_file(merged / "model.safetensors")[f"{NAME}.weight"], (layer.up @ layer.down).T)


def test_an_adapter_on_an_output_layer_that_is_the_embedding_is_refused(base) -> None:
    save_file({"model.embed_tokens.weight": torch.zeros(4, 6)}, base / "model.safetensors")
    with pytest.raises(AdapterUnusable, match=r"lm_head has an adapter, .* one tensor \(tie_word_embeddings\)"):
        merge(base, make_layer("lm_head"))


def test_a_quantized_base_is_refused(base) -> None:
    save_file({f"{NAME}.weight": torch.zeros(4, 6, dtype=torch.float8_e4m3fn)}, base / "model.safetensors")
    with pytest.raises(AdapterUnusable, match=r"is torch\.float8_e4m3fn in this base model; take one that is not"):
        merge(base, make_layer())
    assert not base.with_name("merged").exists()

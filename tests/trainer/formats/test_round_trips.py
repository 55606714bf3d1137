"""From each layout into each other and back nothing is lost: names, matrices, scales, configuration."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.properties import examples
from tests.trainer.formats.loras import MODELS, draw_layers, list_llama, make_lora
from trainer.errors import AdapterUnusable
from trainer.formats.adapter import Adapter
from trainer.formats.lora_set import LANGUAGE_MODEL, LoraLayer, LoraSet, derive_config
from trainer.formats.peft_layout import read_peft, write_peft
from trainer.formats.reading import READERS, Layout, detect_layout, load_adapter_any, read_lora
from trainer.formats.writing import lay_out, write_lora

LAYOUTS = st.sampled_from(list(Layout))
QUICK = examples(25)


def same(first: Adapter, second: Adapter) -> bool:
    return (
        first.tensors.keys() == second.tensors.keys()
        and all(torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)
        and first.config == second.config
    )


def through_file(lora: LoraSet, layout: Layout, folder) -> LoraSet:
    read, found = read_lora(write_lora(folder / f"{layout}.safetensors", lora, layout))
    assert found is layout
    return read


@pytest.mark.parametrize("model", list(MODELS))
@given(data=st.data(), way=st.lists(LAYOUTS, min_size=1, max_size=4))
@QUICK
def test_any_way_through_the_layouts_brings_the_peft_adapter_back(model, tmp_path_factory, data, way) -> None:
    lora = make_lora(data.draw(draw_layers(model, dora=data.draw(st.booleans()))))
    folder, expected = tmp_path_factory.mktemp("way"), write_peft(lora)
    for layout in way:
        lora = through_file(lora, layout, folder)
    assert same(write_peft(lora), expected)
    assert lora.header["base_model"] == "some"


@pytest.mark.parametrize("model", list(MODELS))
@given(data=st.data())
@QUICK
def test_a_foreign_file_without_our_configuration_keeps_every_scale(model, data) -> None:
    layers = data.draw(draw_layers(model))
    lora = make_lora(layers)
    for layout in (Layout.KOHYA, Layout.DIFFUSERS):
        tensors, header = lay_out(lora, layout)
        adapter = write_peft(READERS[layout](tensors, {k: v for k, v in header.items() if k != "adapter_config"}, {}))
        again = read_peft(adapter.tensors, {}, adapter.config)
        assert {layer.name: layer.scale for layer in again.layers} == {layer.name: layer.scale for layer in layers}


@given(rank=st.integers(1, 8), alpha=st.integers(1, 32))
@QUICK
def test_rslora_keeps_its_scale_and_comes_back_with_its_configuration(rank, alpha, tmp_path_factory) -> None:
    down, up = torch.randn(rank, 6), torch.randn(5, rank)
    tensors = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": down}
    tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"] = up
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "use_rslora": True, "target_modules": ["q_proj"]}
    lora = read_peft(tensors, {}, config)
    assert lora.layers[0].scale == pytest.approx(alpha / math.sqrt(rank))
    back = through_file(lora, Layout.KOHYA, tmp_path_factory.mktemp("rs"))
    assert back.layers[0].scale == pytest.approx(alpha / math.sqrt(rank), rel=1e-6)
    assert write_peft(back).config == config


def test_names_with_underscores_that_nobody_knows_come_back_from_the_header(tmp_path) -> None:
    layer = LoraLayer(LANGUAGE_MODEL, "my_model.some_block.0.odd_proj_name", torch.ones(2, 3), torch.ones(4, 2), 2.0)
    lora = LoraSet([layer], derive_config([layer]))
    assert through_file(lora, Layout.KOHYA, tmp_path).layers[0].path == layer.path


def test_an_alpha_that_another_tool_changed_is_believed_before_our_configuration(tmp_path) -> None:
    layer = LoraLayer(LANGUAGE_MODEL, "model.layers.0.self_attn.q_proj", torch.ones(2, 3), torch.ones(4, 2), 2.0)
    lora = through_file(LoraSet([layer], derive_config([layer])), Layout.KOHYA, tmp_path)
    edited = [dataclasses.replace(lora.layers[0], alpha=7.0)]
    assert write_peft(LoraSet(edited, lora.config)).config["lora_alpha"] == 7


def test_layouts_are_told_apart_by_their_names() -> None:
    assert detect_layout(["base_model.model.a.lora_A.weight"]) is Layout.PEFT
    assert detect_layout(["lora_unet_mid_block_proj_in.alpha"]) is Layout.KOHYA
    assert detect_layout(["unet.mid_block.proj_in.lora_A.weight"]) is Layout.DIFFUSERS
    assert detect_layout(["model.embed_tokens.weight"]) is None
    assert detect_layout([]) is None


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora", "attn1.to_out.0"),
        ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer", "layers.0.self_attn.q_proj"),
        ("unet.mid_block.attentions.0.proj_in.lora", "mid_block.attentions.0.proj_in"),
    ],
)
def test_the_older_names_of_diffusers_are_read_with_scale_one(key, path, tmp_path) -> None:
    file = tmp_path / "old.safetensors"
    save_file({f"{key}.down.weight": torch.ones(4, 3), f"{key}.up.weight": torch.ones(5, 4)}, file)
    lora, layout = read_lora(file)
    assert layout is Layout.DIFFUSERS
    assert lora.layers[0].path.endswith(path)
    assert lora.layers[0].scale == 1
    assert load_adapter_any(file).config["lora_alpha"] == 4


def test_a_full_llama_goes_through_every_layout(tmp_path) -> None:
    layers = [LoraLayer(LANGUAGE_MODEL, name, torch.ones(2, 3), torch.ones(3, 2), 4.0) for name in list_llama(32)]
    lora = LoraSet(layers, derive_config(layers))
    for layout in Layout:
        lora = through_file(lora, layout, tmp_path)
    assert sorted(layer.path for layer in lora.layers) == sorted(list_llama(32))


def test_a_header_whose_length_begins_like_a_pickle_is_read_all_the_same(tmp_path) -> None:
    layer = LoraLayer(LANGUAGE_MODEL, "model.layers.0.self_attn.q_proj", torch.ones(2, 3), torch.ones(4, 2), 2.0)
    lengths = set()
    for size in range(300):
        lora = LoraSet([layer], derive_config([layer]), {"base_model": "x" * size})
        file = write_lora(tmp_path / "a.safetensors", lora, Layout.KOHYA)
        lengths.add(file.read_bytes()[0])
        read_lora(file)
    assert 0x80 in lengths


def test_half_a_pair_is_refused_by_name(tmp_path) -> None:
    file = tmp_path / "half.safetensors"
    save_file({"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": torch.ones(4, 3)}, file)
    with pytest.raises(AdapterUnusable, match="mid_block_attentions_0_proj_in has only one of its two"):
        read_lora(file)


@pytest.mark.parametrize("name", ["style.ckpt", "style.pt", "style.bin", "style.safetensors"])
def test_a_pickle_is_never_opened_whatever_its_name(name, tmp_path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / name)
    with pytest.raises(AdapterUnusable, match=r"is a pickle.*get the \.safetensors file"):
        load_adapter_any(tmp_path / name)


@pytest.mark.parametrize("start", [(0x0E80).to_bytes(8, "little") + b'{"a', (1 << 60).to_bytes(8, "little") + b"{}"])
def test_a_safetensors_file_that_is_cut_off_is_called_no_pickle(start, tmp_path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(start)
    with pytest.raises(AdapterUnusable, match=r"is no \.safetensors file that can be read"):
        load_adapter_any(tmp_path / "cut.safetensors")

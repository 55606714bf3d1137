"""Files of other programs: read with the values that they hold, or refused by the name of what they are."""

import json
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import save_file

from tests.trainer.formats.foreign_layouts import (
    IMPORTED,
    PEFT_REFUSED,
    REFUSED,
    SD15_NAME,
    WIDTH,
    dotted_pair,
    draw,
    kohya_pair,
    write_unsloth,
)
from trainer.errors import AdapterUnusable
from trainer.formats.combining import Weighted, merge_loras, resize_lora
from trainer.formats.inspecting import describe_report, inspect_lora
from trainer.formats.lora_set import LoraLayer, LoraSet, derive_config, get_alpha
from trainer.formats.reading import Layout, load_adapter_any, read_lora
from trainer.formats.writing import write_lora


def save(folder: Path, tensors: dict, config: dict | None = None) -> Path:
    file = folder / ("lora.safetensors" if config is None else "adapter_model.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    if config is not None:
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 8, **config}))
    return file


def compute_changes(lora: LoraSet) -> list[tuple[LoraLayer, torch.Tensor]]:
    return [(layer, layer.scale * (layer.up.flatten(1) @ layer.down.flatten(1))) for layer in lora.layers]


@pytest.mark.parametrize("program", list(IMPORTED))
def test_what_other_programs_write_is_inspected_and_imported_with_its_values(program, tmp_path) -> None:
    write, layers = IMPORTED[program]
    tensors = write()
    lora, _ = read_lora(file := save(tmp_path, tensors))
    assert len(lora.layers) == inspect_lora(file).layers == layers
    written = [tensor for name, tensor in tensors.items() if not name.endswith("alpha")]
    read = [part for layer in lora.layers for part in (layer.down, layer.up, layer.magnitude) if part is not None]
    assert sorted(describe(part) for part in read) == sorted(describe(part) for part in written)
    scales = [0.5] * sum(name.endswith("alpha") for name in tensors)
    assert sorted(layer.scale for layer in lora.layers) == scales + [1.0] * (layers - len(scales))
    expected = {layer.name: change for layer, change in compute_changes(lora)}
    for layout in Layout:  # and on into each of our layouts
        there, _ = read_lora(write_lora(tmp_path / f"{layout}.safetensors", lora, layout))
        assert len(there.layers) == layers
        assert all(torch.equal(change, expected[layer.name]) for layer, change in compute_changes(there))


def describe(tensor: torch.Tensor) -> tuple[int, list[float]]:
    return tensor.numel(), tensor.flatten().tolist()


@pytest.mark.parametrize("kind", list(REFUSED))
def test_what_cannot_be_represented_is_refused_by_its_name(kind, tmp_path) -> None:
    tensors, words = REFUSED[kind]
    file = save(tmp_path, tensors)
    for read in (read_lora, load_adapter_any, inspect_lora):
        with pytest.raises(AdapterUnusable, match=words):
            read(file)


@pytest.mark.parametrize("kind", list(PEFT_REFUSED))
def test_what_peft_writes_beyond_plain_lora_is_refused_by_its_name(kind, tmp_path) -> None:
    tensors, config, words = PEFT_REFUSED[kind]
    file = save(tmp_path, tensors, config)
    with pytest.raises(AdapterUnusable, match=words):
        read_lora(file)
    if "missing" in kind:  # nothing of it says that it is not whole
        with pytest.raises(AdapterUnusable, match=words):
            load_adapter_any(file)


def test_a_configuration_that_says_nothing_more_was_trained_is_read(tmp_path) -> None:
    config = {"modules_to_save": [], "trainable_token_indices": None, "lora_bias": False, "use_dora": False}
    assert len(read_lora(save(tmp_path, write_unsloth(), {"r": 4} | config))[0].layers) > 0


def test_layers_of_dora_and_lora_in_one_model_stay_in_the_one_layout_that_holds_both(tmp_path) -> None:
    """A layer without its magnitude is to peft a DoRA that begins at the base's own: another change."""
    text = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    magnitude = {f"{SD15_NAME}.dora_scale": draw(WIDTH, 1)}
    apart, _ = read_lora(save(tmp_path, kohya_pair(SD15_NAME) | magnitude | kohya_pair(text, 768)))
    for layout in Layout:  # a UNet of one kind and a text encoder of the other are two models
        there, _ = read_lora(write_lora(tmp_path / f"{layout}.safetensors", apart, layout))
        assert sorted(layer.magnitude is None for layer in there.layers) == [False, True]
    mixed, _ = read_lora(save(tmp_path, kohya_pair(SD15_NAME) | magnitude | kohya_pair(f"{SD15_NAME[:-1]}k")))
    again, _ = read_lora(write_lora(tmp_path / "both.safetensors", mixed, Layout.KOHYA))
    assert sorted(layer.magnitude is None for layer in again.layers) == [False, True]
    for layout in (Layout.PEFT, Layout.DIFFUSERS):
        with pytest.raises(AdapterUnusable, match=r"to_q is a DoRA and .*to_k a plain LoRA.*only the kohya layout"):
            write_lora(tmp_path / "mixed.safetensors", mixed, layout)


def test_an_adapter_of_unsloth_is_read_by_the_configuration_beside_it(tmp_path) -> None:
    tensors = write_unsloth()
    config = {"r": 4, "lora_alpha": 16, "target_modules": ["q_proj"], "use_rslora": True}
    lora, layout = read_lora(save(tmp_path, tensors, config))
    assert layout is Layout.PEFT
    assert {layer.scale for layer in lora.layers} == {8.0}  # 16 / √4
    assert load_adapter_any(tmp_path).tensors.keys() == tensors.keys()


def test_the_adapters_own_name_in_a_tensors_name_is_left_out(tmp_path) -> None:
    name = "base_model.model.model.layers.0.self_attn.q_proj"
    tensors = {f"{name}.lora_A.default.weight": draw(4, 12), f"{name}.lora_B.default.weight": draw(12, 4)}
    read = load_adapter_any(save(tmp_path, tensors, {"r": 4, "target_modules": ["q_proj"]}))
    assert read.tensors.keys() == {f"{name}.lora_A.weight", f"{name}.lora_B.weight"}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ({r"layers\.[01]\.self_attn\.q_proj": 32}, 32),
        ({"q_proj": 2, ".*": 4}, 2),  # the first that matches
        ({".*": 4, "q_proj": 2}, 4),
        ({"^layers.0.self_attn.q_proj": 2}, 16),  # from the very beginning
        ({"^model.layers.0.self_attn.q_proj": 2}, 2),
        ({"_proj": 2}, 16),  # from a dot on
        ({"k_proj|q_proj": 2}, 2),
        ({"self.attn.q.proj": 2}, 2),  # a dot is any character
        ({r"q_proj\b": 2, "q_pro": 3}, 2),
        ({"x.model.layers.0.self_attn.q_proj": 2, ".layers.0.self_attn.q_proj": 3}, 16),
        ({"layers.1.self_attn.q_proj": 3, "k_proj": 4, "modelxlayers.0.self_attn.q_proj": 5}, 16),
        ({"model.layers.0.self.attn.q_proj": 2}, 2),
    ],
)
def test_alpha_patterns_are_the_regular_expressions_that_peft_takes_them_for(patterns, expected) -> None:
    name = "model.layers.0.self_attn.q_proj"
    assert get_alpha({"lora_alpha": 16, "alpha_pattern": patterns}, name, 4) == expected
    key = peft.utils.other.get_pattern_key(patterns, name)
    assert patterns.get(key, 16) == expected


def test_a_configuration_that_leaves_alpha_out_has_pefts_default() -> None:
    assert get_alpha({"r": 4}, "q_proj", 4) == peft.LoraConfig().lora_alpha == 8


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16, torch.float64]
)
def test_every_number_format_of_a_file_is_read_exactly(dtype, tmp_path) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in kohya_pair(SD15_NAME, alpha=None).items()}
    file = save(tmp_path, tensors)
    assert inspect_lora(file).dtype == str(dtype).removeprefix("torch.")
    read = load_adapter_any(file).tensors
    for name, tensor in read.items():
        part = "down" if "lora_A" in name else "up"
        assert torch.equal(tensor.double(), tensors[f"{SD15_NAME}.lora_{part}.weight"].float().double())
        assert tensor.dtype in {torch.float16, torch.bfloat16, torch.float32}
    lora, _ = read_lora(file)
    assert torch.isfinite(resize_lora(lora, 2).lora.layers[0].up).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_their_tensors_name_and_shown_by_inspect(value, tmp_path) -> None:
    tensors = kohya_pair(SD15_NAME)
    tensors[f"{SD15_NAME}.lora_up.weight"][3, 1] = value
    file = save(tmp_path, tensors)
    for read in (read_lora, load_adapter_any):
        with pytest.raises(
            AdapterUnusable, match=rf"1 of 48 numbers of the tensor {SD15_NAME}\.lora_up\.weight are NaN"
        ):
            read(file)
    report = inspect_lora(file)
    assert (report.finite, report.norm, report.modules[0].norm_mean, report.modules[0].norm_max) == (
        False,
        *3 * (None,),
    )
    assert describe_report(report).count("not finite") == 2
    assert json.loads(report.to_json())["modules"][0]["norm_max"] is None


def test_what_a_narrower_format_cannot_hold_is_refused(tmp_path) -> None:
    tensors = kohya_pair(SD15_NAME)
    tensors[f"{SD15_NAME}.lora_up.weight"][0, 0] = 1e6
    lora, _ = read_lora(save(tmp_path, tensors))
    with pytest.raises(AdapterUnusable, match="in float16, which is too narrow"):
        write_lora(tmp_path / "narrow.safetensors", lora, Layout.KOHYA, dtype=torch.float16)
    assert not (tmp_path / "narrow.safetensors").exists()
    write_lora(tmp_path / "wide.safetensors", lora, Layout.KOHYA, dtype=torch.bfloat16)


def test_a_convolutions_magnitude_has_pefts_shape_there_and_lycoris_here(tmp_path) -> None:
    layer = LoraLayer("unet", "conv_in", draw(4, 12, 3, 3), draw(12, 4, 1, 1), 2.0, draw(12))
    lora = LoraSet([layer], derive_config([layer]))
    read = load_adapter_any(write_lora(tmp_path / "a.safetensors", lora, Layout.PEFT))
    assert read.tensors["base_model.model.conv_in.lora_magnitude_vector"].shape == (1, 12, 1, 1)
    again, _ = read_lora(write_lora(tmp_path / "b.safetensors", read_lora(tmp_path / "a.safetensors")[0], Layout.KOHYA))
    assert torch.equal(again.layers[0].magnitude, layer.magnitude)


def test_a_configuration_of_another_training_beside_the_file_is_refused(tmp_path) -> None:
    layer = LoraLayer("", "model.layers.0.self_attn.q_proj", draw(4, 12), draw(12, 4), 8.0)
    lora = LoraSet([layer], derive_config([layer]))
    file = write_lora(tmp_path / "adapter_model.safetensors", lora, Layout.PEFT)
    assert peft.LoraConfig.from_pretrained(tmp_path).lora_alpha == 8
    beside = tmp_path / "adapter_config.json"
    beside.write_text(beside.read_text().replace('"lora_alpha": 8', '"lora_alpha": 16'))
    with pytest.raises(
        AdapterUnusable, match="different trainings: lora_alpha is 8 in the file's header and 16 beside"
    ):
        load_adapter_any(file)


@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000])
def test_a_configuration_that_is_no_object_is_refused(text, tmp_path) -> None:
    file = save(tmp_path, dotted_pair("base_model.model.layers.0.q_proj"), {})
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(AdapterUnusable, match=r"adapter_config of .* is (not JSON|no JSON object)"):
        read_lora(file)


def test_a_merge_of_a_file_with_another_configuration_beside_it_is_of_its_own_scale(tmp_path) -> None:
    """A kohya file beside another adapter's adapter_config.json: that one is none of its business."""
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LOHA", "lora_alpha": 999}))
    lora, _ = read_lora(save(tmp_path, kohya_pair(SD15_NAME)))
    assert lora.layers[0].scale == 0.5
    merged = merge_loras([Weighted(lora, 2.0, "a")], 4).lora.layers[0]
    change = merged.scale * merged.up @ merged.down
    assert torch.allclose(change, lora.layers[0].up @ lora.layers[0].down, atol=1e-5)
    assert change.shape == (WIDTH, WIDTH)

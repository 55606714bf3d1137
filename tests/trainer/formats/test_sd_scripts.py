"""Against sd-scripts: its key map written out once more, from its rules, without any code of ours."""

import hashlib
import json
import struct

import pytest
import torch

from tests.trainer.formats.loras import MODELS
from trainer.formats.base_model_hash import describe_base_file, hash_base_model
from trainer.formats.header import describe_for_sd_scripts
from trainer.formats.lora_set import LoraLayer, LoraSet, derive_config
from trainer.formats.reading import Layout
from trainer.formats.writing import write_lora

CONV = ("conv", "proj_in", "proj_out")


def make_lora(model: str) -> LoraSet:
    layers = []
    for component, path in MODELS[model]:
        kernel = (1, 1) if path.rpartition(".")[2].startswith(CONV) and component == "unet" else ()
        layers.append(LoraLayer(component, path, torch.ones(4, 3, *kernel), torch.ones(5, 4, *kernel), 8.0))
    header = {
        "base_model": "v1-5-pruned",
        "steps": "120",
        "epoch": "10",
        "training_config": json.dumps({"learning_rate": 2e-4, "epochs": 10, "batch_size": 4, "seed": 42}),
        "tag_frequency": json.dumps({"style": {"ink": 3}}),
    }
    return LoraSet(layers, derive_config(layers), header)


def list_sd_scripts_names(model: str) -> set[str]:
    """List the names that `LoRANetwork` of sd-scripts gives: prefix, underscore, the model's own name with underscores.

    Its SD 1.5 UNet has the names of diffusers, its SDXL UNet those of the original release, its text encoders lie in
    `text_model`.
    """
    names = set()
    for component, path in MODELS[model]:
        if component == "unet":
            own = to_release(path) if model == "sdxl" else path
            names.add("lora_unet_" + own.replace(".", "_"))
        else:
            number = {"text_encoder": "1", "text_encoder_2": "2"}[component] if model == "sdxl" else ""
            inner = path if path.startswith("text_model.") else f"text_model.{path}"
            names.add(f"lora_te{number}_" + inner.replace(".", "_"))
    return names


def to_release(path: str) -> str:
    """Name the UNet of the SDXL release, block by block: what is at which place of its `input_blocks` and so on."""
    places = {"conv_in": "input_blocks.0.0", "add_embedding.linear_2": "label_emb.0.2"}
    inputs = ["0r0", "0r1", "0d", "1r0", "1r1", "1d", "2r0", "2r1"]
    for number, what in enumerate(inputs, start=1):
        level, kind = what[0], what[1]
        if kind == "d":
            places[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
            continue
        places[f"down_blocks.{level}.resnets.{what[2]}."] = f"input_blocks.{number}.0."
        places[f"down_blocks.{level}.attentions.{what[2]}."] = f"input_blocks.{number}.1."
    for number in range(9):
        level, layer = number // 3, number % 3
        places[f"up_blocks.{level}.resnets.{layer}."] = f"output_blocks.{number}.0."
        places[f"up_blocks.{level}.attentions.{layer}."] = f"output_blocks.{number}.1."
    for inner, where in (("resnets.0.", "0."), ("attentions.0.", "1."), ("resnets.1.", "2.")):
        places[f"mid_block.{inner}"] = f"middle_block.{where}"
    old, new = next((old, new) for old, new in places.items() if path.startswith(old))
    renamed = new + path.removeprefix(old)
    for ours, theirs in (
        ("conv1", "in_layers.2"),
        ("conv2", "out_layers.3"),
        ("time_emb_proj", "emb_layers.1"),
        ("conv_shortcut", "skip_connection"),
    ):
        renamed = renamed.replace(ours, theirs)
    return renamed


@pytest.mark.parametrize("model", ["sd15", "sdxl"])
def test_every_key_is_the_one_that_sd_scripts_writes(model, tmp_path) -> None:
    file = write_lora(tmp_path / "ink.safetensors", make_lora(model), Layout.KOHYA)
    header, _ = read_raw(file)
    keys = set(header) - {"__metadata__"}
    expected = list_sd_scripts_names(model)
    assert {key.partition(".")[0] for key in keys} == expected
    assert keys == {f"{name}.{part}" for name in expected for part in ("lora_down.weight", "lora_up.weight", "alpha")}
    assert header[f"{min(expected)}.alpha"]["shape"] == []


@pytest.mark.parametrize(("model", "version"), [("sd15", "sd_v1"), ("sdxl", "sdxl_base_v1-0")])
def test_the_header_says_what_webui_shows(model, version, tmp_path) -> None:
    file = write_lora(tmp_path / "ink.safetensors", make_lora(model), Layout.KOHYA)
    said = read_raw(file)[0]["__metadata__"]
    expected = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": "4",
        "ss_network_alpha": "8.0",
        "ss_base_model_version": version,
        "ss_output_name": "ink",
        "ss_steps": "120",
        "ss_epoch": "10",
        "ss_num_epochs": "10",
        "ss_learning_rate": "0.0002",
        "ss_seed": "42",
        "ss_sd_model_name": "v1-5-pruned",
        "base_model": "v1-5-pruned",
    }
    assert said.items() >= expected.items()
    assert json.loads(said["ss_tag_frequency"]) == {"style": {"ink": 3}}
    assert "ss_resolution" not in said


@pytest.mark.parametrize("layout", list(Layout))
def test_the_hashes_are_over_the_bytes_behind_the_header(layout, tmp_path) -> None:
    file = write_lora(tmp_path / "ink.safetensors", make_lora("sd15"), layout)
    header, payload = read_raw(file)
    assert header["__metadata__"]["sshs_model_hash"] == hashlib.sha256(payload).hexdigest()
    assert len(header["__metadata__"]["sshs_legacy_hash"]) == 8


def read_raw(file) -> tuple[dict, bytes]:
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def test_a_base_model_of_one_file_has_the_name_and_hashes_that_sd_scripts_writes(tmp_path) -> None:
    """Past fault: the hash of a folder, which is ours alone, stood where WebUI looks for that of a file."""
    base = tmp_path / "v1-5-pruned.safetensors"
    base.write_bytes(bytes(range(256)) * 5000)
    known = describe_base_file(base, hash_base_model(base))
    lora = make_lora("sd15")
    file = write_lora(
        tmp_path / "ink.safetensors", LoraSet(lora.layers, lora.config, lora.header | known), Layout.KOHYA
    )
    said = read_raw(file)[0]["__metadata__"]
    content = base.read_bytes()
    assert said["ss_sd_model_name"] == "v1-5-pruned.safetensors"
    assert said["ss_new_sd_model_hash"] == hashlib.sha256(content).hexdigest()
    assert said["ss_sd_model_hash"] == hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8]


def test_a_base_model_in_a_folder_has_our_hash_under_our_name_only(tmp_path) -> None:
    (tmp_path / "unet").mkdir()
    assert describe_base_file(tmp_path, hash_base_model(tmp_path)) == {}
    lora = make_lora("sd15")
    header = lora.header | {"base_model_sha256": hash_base_model(tmp_path)}
    said = describe_for_sd_scripts(LoraSet(lora.layers, lora.config, header), output_name="ink")
    assert [key for key in said if "hash" in key] == []
    assert said["ss_sd_model_name"] == "v1-5-pruned"


def test_what_is_said_of_pictures_does_not_stand_on_the_adapter_of_a_language_model() -> None:
    layers = [
        LoraLayer(component, path, torch.ones(4, 3), torch.ones(5, 4), 8.0) for component, path in MODELS["llama"]
    ]
    config = {"learning_rate": 2e-4, "noise_offset": 0.0, "min_snr_gamma": 5.0, "resolution": 512}
    header = {
        "base_model": "smollm2",
        "steps": "3",
        "new_sd_model_hash": "00",
        "images": "7",
        "tag_frequency": "{}",
        "training_config": json.dumps(config),
    }
    said = describe_for_sd_scripts(LoraSet(layers, derive_config(layers), header), output_name="calm")
    assert set(said) == {
        "ss_network_module",
        "ss_network_dim",
        "ss_network_alpha",
        "ss_output_name",
        "ss_learning_rate",
        "ss_steps",
    }

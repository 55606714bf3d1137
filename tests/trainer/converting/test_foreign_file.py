"""Configurations of other programs become ours: what they say, what their silence means, what is lost."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pricing.training.config_parsing import parse_training_config
from trainer.commands.cli import app
from trainer.converting.foreign_file import convert_values, find_program, read_foreign
from trainer.errors import BadInput

SD_SCRIPTS = """
[model_arguments]
pretrained_model_name_or_path = "{base}"
[dataset_arguments]
train_data_dir = "{data}"
resolution = "512,768"
enable_bucket = true
caption_extension = ".caption"
shuffle_caption = true
color_aug = false
[training_arguments]
output_dir = "./out"
output_name = "ink"
network_module = "networks.lora"
network_dim = 32
network_alpha = 16
max_train_steps = 400
lr_scheduler = "cosine_with_restarts"
lr_warmup_steps = 0.1
learning_rate = "1e-4"
unet_lr = 2e-4
text_encoder_lr = 5e-5
optimizer_type = "AdamW8bit"
train_batch_size = 2
mixed_precision = "bf16"
xformers = true
min_snr_gamma = 5
seed = 7
"""
LLAMA_FACTORY = {
    "model_name_or_path": "{base}",
    "stage": "sft",
    "finetuning_type": "lora",
    "lora_rank": 16,
    "lora_target": "q_proj,v_proj",
    "dataset": "identity",
    "dataset_dir": "{data}",
    "template": "qwen3_nothink",
    "cutoff_len": 64,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 8,
    "num_train_epochs": 2.5,
    "learning_rate": "1.0e-4",
    "warmup_ratio": 0.1,
    "logging_steps": 10,
    "bf16": True,
    "weight_decay": 0.1,
    "max_samples": 1000,
}
AXOLOTL = {
    "base_model": "{base}",
    "adapter": "qlora",
    "datasets": [{"path": "{data}", "type": "alpaca"}],
    "sequence_len": 64,
    "sample_packing": True,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_target_linear": True,
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "max_steps": 100,
    "learning_rate": 0.0002,
    "optimizer": "paged_adamw_8bit",
    "warmup_ratio": 0.1,
    "saves_per_epoch": 1,
    "val_set_size": 0.1,
    "wandb_project": None,
    "logging_steps": 1,
}


def convert(values: dict, program: str):
    told = convert_values(values, program)
    parse_training_config({"base_model": "m", **told.config})
    return told


def fill(values: object, **words: object) -> str:
    text = values if isinstance(values, str) else yaml.safe_dump(values)
    for key, word in words.items():
        text = text.replace("{" + key + "}", str(word))
    return text


def test_a_file_of_sd_scripts_says_what_it_said_there(tmp_path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(fill(SD_SCRIPTS, base="./sd", data="./data"))
    values = read_foreign(file)
    assert find_program(values) == "sd-scripts"
    told = convert(values, "sd-scripts")
    expected = {
        "base_model": "./sd",
        "output_dir": "./out/ink",
        "lora_rank": 32,
        "lora_alpha": 16,
        "variant": "lora",
        "max_steps": 400,
        "epochs": 10_000,
        "warmup_steps": 40,
        "learning_rate": 2e-4,
        "optimizer": "adamw8bit",
        "batch_size": 2,
        "gradient_accumulation": 1,
        "lr_scheduler": "cosine",
        "resolution": 640,
        "aspect_buckets": True,
        "flip": False,
        "precision": "bf16",
        "min_snr_gamma": 5,
        "seed": 7,
        "train_text_encoder": True,
    }
    assert told.config.items() >= expected.items()
    assert "to_q" in told.config["target_modules"]
    assert "fc1" in told.config["target_modules"]
    lost = " ".join(told.no_equal)
    assert all(
        key in lost for key in ("cosine_with_restarts", "text_encoder_lr", "caption_extension", "shuffle_caption")
    )
    assert "color_aug" not in lost
    assert any("scale 16 / 32 = 0.5" in words for words in told.changed)
    assert any(words.startswith("xformers") for words in told.not_needed)


def test_the_silence_of_sd_scripts_means_its_own_defaults() -> None:
    told = convert({"pretrained_model_name_or_path": "m"}, "sd-scripts")
    expected = {
        "lora_rank": 4,
        "lora_alpha": 1,
        "max_steps": 1600,
        "learning_rate": 2e-6,
        "lr_scheduler": "constant",
        "batch_size": 1,
        "precision": "fp32",
        "aspect_buckets": False,
    }
    assert told.config.items() >= expected.items()


def test_a_file_of_llama_factory_says_what_it_said_there() -> None:
    told = convert(LLAMA_FACTORY, find_program(LLAMA_FACTORY))
    expected = {
        "lora_rank": 16,
        "lora_alpha": 32,
        "target_modules": ["q_proj", "v_proj"],
        "max_length": 64,
        "batch_size": 1,
        "gradient_accumulation": 8,
        "epochs": 3,
        "learning_rate": 1e-4,
        "lr_scheduler": "linear",
        "save_steps": 500,
        "seed": 42,
        "precision": "bf16",
    }
    assert told.config.items() >= expected.items()
    lost = " ".join(told.no_equal)
    assert all(key in lost for key in ("warmup_ratio (0.1)", "weight_decay (0.1)", "max_samples (1000)"))
    assert any("2.5 passes become 3" in words for words in told.changed)
    assert any("1 × 8 = 8 rows" in words for words in told.changed)
    assert any(words.startswith("logging_steps") for words in told.not_needed)


def test_a_file_of_axolotl_says_what_it_said_there() -> None:
    told = convert(AXOLOTL, find_program(AXOLOTL))
    expected = {
        "quantization": "4bit",
        "target_modules": ["all-linear"],
        "lora_rank": 16,
        "lora_alpha": 32,
        "max_steps": 100,
        "epochs": 10_000,
        "warmup_steps": 10,
        "optimizer": "adamw8bit",
        "validation_split": 0.1,
        "seed": 42,
    }
    assert told.config.items() >= expected.items()
    assert any("raise batch_size" in words for words in told.changed)
    assert any("saves_per_epoch" in words for words in told.no_equal)


@pytest.mark.parametrize(
    ("program", "values", "words"),
    [
        ("sd-scripts", {"network_module": "networks.lora_flux"}, "lora_flux .lora. has no equal"),
        ("sd-scripts", {"network_module": "lycoris.kohya", "network_args": ["algo=loha"]}, "loha"),
        ("sd-scripts", {"network_dim": "many"}, "network_dim: 'many' is no number"),
        ("sd-scripts", {"network_dim": 1.5}, "no whole number"),
        ("sd-scripts", {"resolution": "512x512"}, "neither a side nor a width and a height"),
        ("sd-scripts", {"enable_bucket": "maybe"}, "neither true nor false"),
        ("sd-scripts", {"network_train_text_encoder_only": True}, "the UNet always trains"),
        ("llama-factory", {"stage": "dpo"}, "stage: dpo has no equal"),
        ("llama-factory", {"finetuning_type": "full"}, "full has no equal"),
        ("llama-factory", {"quantization_bit": 2}, "2 bits have no equal"),
        ("llama-factory", {"use_dora": True, "use_rslora": True}, "together have no equal"),
        ("axolotl", {"learning_rate": 1e-4}, "adapter: None has no equal"),
        ("axolotl", {"adapter": "lora"}, "learning_rate: is missing"),
        ("axolotl", {"adapter": "lora", "rl": "dpo"}, "not preferences"),
        ("nobody", {}, "is none of sd-scripts, llama-factory, axolotl"),
    ],
)
def test_what_cannot_be_translated_is_refused(program, values, words) -> None:
    with pytest.raises(BadInput, match=words):
        convert_values(values, program)


@pytest.mark.parametrize(
    ("values", "variant", "alpha"),
    [
        ({"network_module": "lycoris.kohya", "network_args": ["algo=lokr"]}, "lokr", 1),
        ({"network_module": "lycoris.kohya", "network_args": "algo=locon dora_wd=True"}, "dora", 1),
        ({"network_dim": 8, "network_alpha": 0}, "lora", 8),
        ({"network_dim": 8, "network_alpha": 0.4}, "lora", 1),
    ],
)
def test_kinds_and_alphas_of_sd_scripts(values, variant, alpha) -> None:
    told = convert(values, "sd-scripts")
    assert (told.config["variant"], told.config["lora_alpha"]) == (variant, alpha)
    assert any(words.startswith("network_alpha: scale ") for words in told.changed)


def test_one_data_set_of_a_data_sets_file_is_taken_and_several_are_refused(tmp_path) -> None:
    file = tmp_path / "data.toml"
    one = '[general]\nenable_bucket = true\n[[datasets]]\nresolution = 512\n[[datasets.subsets]]\nimage_dir = "pics"\n'
    file.write_text(one + "num_repeats = 10\n")
    told = convert(read_foreign(file), "sd-scripts")
    assert told.config["train_data_dir"] == "pics"
    assert "as 10_name" in " ".join(told.no_equal)
    file.write_text(one + '[[datasets.subsets]]\nimage_dir = "more"\n')
    with pytest.raises(BadInput, match="2 of them: put their pictures into folders of one train_data_dir"):
        read_foreign(file)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "a: 1\na: 2\n", "written twice, on line 1 and on line 2"),
        ("a.json", '{"a": 1, "a": 2}', "'a' is written twice"),
        ("a.toml", "a = 1\na = 2\n", "cannot be read as .toml"),
        ("a.toml", "[x]\na = 1\n[y]\na = 2\n", "is written twice, as 1 and as 2"),
        ("a.json", "[]", "holds no keys and values"),
        ("a.json", "[" * 100_000, "cannot be read"),
        ("a.yaml", "- a\n", "holds no keys and values"),
        ("none.yaml", None, "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_a_message(tmp_path, name, text, words) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadInput, match=words):
        read_foreign(file)


def test_a_file_without_telling_keys_is_asked_whose_it_is() -> None:
    with pytest.raises(BadInput, match=r"--from: .*sd-scripts, llama-factory, axolotl"):
        find_program({"learning_rate": 1})


@pytest.mark.parametrize("program", ["sd-scripts", "llama-factory", "axolotl"])
def test_trainer_check_accepts_what_convert_writes(
    program, request, tmp_path, tiny_model, tiny_dataset, picture_dataset, monkeypatch
) -> None:
    base, data = (str(tiny_model), tiny_dataset) if program != "sd-scripts" else ("sd-1.5", picture_dataset)
    text = fill(
        {"sd-scripts": SD_SCRIPTS, "llama-factory": LLAMA_FACTORY, "axolotl": AXOLOTL}[program], base=base, data=data
    )
    file = tmp_path / ("their.toml" if program == "sd-scripts" else "their.yaml")
    file.write_text(text)
    output = tmp_path / "ours.yaml"
    done = CliRunner().invoke(app, ["convert", str(file), "--output", str(output)])
    assert done.exit_code == 0, done.output
    assert "means something else here:" in done.output
    assert "has no equal, left out:" in done.output
    assert output.read_text().startswith(f"# Converted from {file.name} ({program}).\n")
    checked = CliRunner().invoke(app, ["check", str(data), "--config", str(output), "--json", str(tmp_path / "r.json")])
    assert "cannot be used" not in checked.output, checked.output
    assert json.loads((tmp_path / "r.json").read_text())
    again = CliRunner().invoke(app, ["convert", str(file), "--output", str(output)])
    assert again.exit_code == 2


def test_a_base_model_can_be_said_where_the_file_has_none(tmp_path) -> None:
    file, output = tmp_path / "data.toml", tmp_path / "new" / "ours.yaml"
    Path(file).write_text('network_dim = 4\ntrain_data_dir = "x"\n')
    done = CliRunner().invoke(app, ["convert", str(file), "--output", str(output)])
    assert done.exit_code == 2
    assert "--base-model" in done.output
    done = CliRunner().invoke(app, ["convert", str(file), "--output", str(output), "--base-model", "sd-1.5"])
    assert yaml.safe_load(output.read_text())["base_model"] == "sd-1.5"

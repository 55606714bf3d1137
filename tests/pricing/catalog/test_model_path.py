"""A path of whatever length costs no more than its end: 4 MB of slashes kept everybody waiting for six minutes."""

import pytest

from pricing.catalog import UnknownBaseModel, find_base_model
from pricing.catalog.model_path import LAST_PARTS, LONGEST_NAME, find_named_by_path, get_model_by_shape


@pytest.mark.parametrize("path", ["a/" * 5000, "\\".join(["a"] * 5000), "a/" + "-hf" * 5000])
def test_only_the_end_of_a_path_is_compared_with_models(path):
    asked = []
    assert find_named_by_path(path, asked.append) is None
    assert len(asked) <= LAST_PARTS
    assert all(len(name) <= LONGEST_NAME for name in asked)


def test_the_end_of_a_deep_path_names_its_model():
    found = find_named_by_path("/home/me" + "/deep" * 100 + "/SmolLM2-135M-Instruct/model.safetensors", find_base_model)
    assert found is not None
    assert found.name == "smollm2-135m-instruct"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("Qwen/Qwen3-8B", "qwen3-8b"),
        ("unsloth/Qwen3-8B-unsloth-bnb-4bit", "qwen3-8b"),
        ("mlx-community/Qwen3-8B-4bit", "qwen3-8b"),
        ("Qwen3-4B-Instruct-2507-FP8", "qwen3-4b"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "qwen2.5-7b"),
        ("unsloth/gemma-3-4b-it-qat-bnb-4bit", "gemma-3-4b"),
        ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", "llama-3.1-8b"),
        ("unsloth/mistral-7b-v0.3-bnb-4bit", "mistral-7b"),
        ("bartowski/Mistral-Nemo-Instruct-2407-GGUF", "mistral-nemo-12b"),
    ],
)
def test_what_is_packed_or_copied_has_the_shape_of_its_base(name, model):
    assert get_model_by_shape(name).name == model


def test_weights_of_their_own_are_no_spelling_of_the_model_that_has_their_shape():
    assert find_base_model("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B") is None


@pytest.mark.parametrize("name", ["owner/Qwen3-8B-Wizard", "owner/", "", "a/" * 5000 + "b", "x" * 10**6])
def test_a_shape_that_nobody_knows_is_refused(name):
    with pytest.raises(UnknownBaseModel):
        get_model_by_shape(name)

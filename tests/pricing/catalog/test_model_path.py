"""A path of whatever length costs no more than its end: 4 MB of slashes kept everybody waiting for six minutes."""

import pytest

from pricing.catalog import find_base_model
from pricing.catalog.model_path import LAST_PARTS, LONGEST_NAME, find_named_by_path


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

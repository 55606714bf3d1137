import pytest

from broker.facades.model_names import find_base_model

KNOWN = [
    {"name": "qwen2.5-7b", "aliases": ["Qwen2.5 7B", "Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B-Instruct"]},
    {"name": "llama-3.1-8b", "aliases": ["meta-llama/Meta-Llama-3.1-8B", "meta-llama/Meta-Llama-3.1-8B-Instruct"]},
    {"name": "house-model", "aliases": []},
]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("qwen2.5-7b", "qwen2.5-7b"),
        ("qwen2.5-7b-instruct", "qwen2.5-7b"),
        ("Qwen/Qwen2.5-7B-Instruct-Turbo", "qwen2.5-7b"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct-Reference", "llama-3.1-8b"),
        ("meta-llama-3.1-8b-instruct-2024-07-23", "llama-3.1-8b"),
        ("house-model", "house-model"),
        ("qwen3-7b", None),
        ("-instruct", None),
        ("", None),
    ],
)
def test_a_base_model_is_found_by_the_name_that_it_has_elsewhere(theirs, ours):
    assert find_base_model(theirs, KNOWN) == ours

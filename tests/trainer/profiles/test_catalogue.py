"""The shipped profiles are what `make profiles` makes."""

import json

import pytest

from pricing.catalog import CATALOG, load_base_models
from trainer.profiles.catalogue import SHAPES, load_entries, make_profile, rename_modules
from trainer.profiles.network import list_modules
from trainer.profiles.profile_file import format_profile
from trainer.profiles.text_network import build_text_network, read_text_config


def read_untraced(name):
    """Read a shipped profile without the table of what its steps need, which takes minutes to make."""
    return format_profile(load_base_models()[name].model_copy(update={"traced": None}))


def read_shipped(name):
    return (CATALOG / "base_models" / f"{name}.json").read_text(encoding="utf-8")


def test_each_entry_ships_as_a_file_and_each_file_has_an_entry():
    assert load_entries().keys() == load_base_models().keys()


def test_what_the_entry_tells_stands_in_the_profile():
    for name, entry in load_entries().items():
        profile = load_base_models()[name]
        told = entry.model_dump(exclude=SHAPES)
        assert told == profile.model_dump(include=set(told))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "qwen-1.8b", "chatglm2-6b", "falcon-7b"])
def test_made_anew_a_profile_is_the_one_that_ships(name):
    assert format_profile(make_profile(load_entries()[name])) == read_untraced(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd-1.5", "llama-3.2-1b", "gemma-3-4b", "chatglm-6b", "phi-1.5"])
def test_made_anew_others_are_those_that_ship_as_well(name):
    assert format_profile(make_profile(load_entries()[name])) == read_untraced(name)


def test_a_file_holds_the_whole_profile():
    for name, profile in load_base_models().items():
        assert json.loads(read_shipped(name)) == json.loads(format_profile(profile))


def test_layers_under_one_name_have_the_outputs_of_all():
    entry = load_entries()["chatglm2-6b"]
    layers = build_text_network(read_text_config(entry.config)).model.model.layers[:2]
    named = [(path, layer) for path, layer in layers.named_modules() if hasattr(layer, "in_features")]
    renamed = rename_modules(list_modules(named), entry.names)
    (fused,) = renamed["query_key_value"]
    assert (fused.in_features, fused.out_features, fused.count) == (4096, 4096 + 2 * 2 * 128, 2)

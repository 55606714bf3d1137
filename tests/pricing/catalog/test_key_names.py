"""The names that other programs give the keys of a training, as data, and what a hint makes of them."""

import pytest

from pricing.catalog.key_names import explain_key, load_program_keys
from pricing.training.config import TrainingConfig

KNOWN = list(TrainingConfig.model_fields)


def test_every_program_names_its_source_and_every_name_of_ours_is_a_key() -> None:
    tables = load_program_keys()
    assert set(tables) == {"sd-scripts", "llama-factory", "axolotl", "transformers"}
    for table in tables.values():
        assert table.source
        assert {*table.same.values(), *(name for name, _ in table.changed.values())} <= set(KNOWN)


def test_a_key_has_one_place_in_a_programs_table() -> None:
    for table in load_program_keys().values():
        places = [*table.same, *table.changed, *table.not_needed, *table.no_equal]
        assert len(places) == len(set(places)), table.program


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("network_dim", "network_dim of sd-scripts is lora_rank here"),
        ("cutoff_len", "cutoff_len of LLaMA-Factory is max_length here"),
        ("micro_batch_size", "micro_batch_size of axolotl is batch_size here"),
        ("network-dim", "if network_dim is meant: network_dim of sd-scripts is lora_rank here"),
        ("LORA_RANK", "did you mean lora_rank?"),
        ("batchsize", "did you mean batch_size?"),
        ("rank", "did you mean lora_rank?"),
        ("zzz", None),
        ("lr", None),
    ],
)
def test_a_hint_says_what_the_key_is_here(key, expected) -> None:
    assert explain_key(key, KNOWN) == expected


def test_logging_steps_is_not_taken_for_max_steps_which_would_end_the_run_at_ten() -> None:
    hint = explain_key("logging_steps", KNOWN)
    assert "not needed: every step is shown" in hint
    assert "max_steps" not in hint


def test_a_word_of_several_programs_is_explained_by_each_meaning_once() -> None:
    hint = explain_key("gradient_accumulation_steps", KNOWN)
    assert hint.count("gradient_accumulation here") == 1
    assert all(program in hint for program in ("sd-scripts", "LLaMA-Factory", "axolotl", "transformers"))


def test_no_hint_of_any_key_of_any_program_names_a_key_that_is_not_its_own() -> None:
    for table in load_program_keys().values():
        for key in table.names - set(KNOWN):
            assert explain_key(key, KNOWN).startswith(f"{key} of "), key

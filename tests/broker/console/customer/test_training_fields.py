"""The keys of a configuration as fields: all of them, each where its base model has a use for it, there and back."""

import pytest

from broker.console.customer.presets import PRESETS, find_preset, list_presets
from broker.console.customer.training_fields import GROUPS, PREFIX, list_groups, read_config, write_config
from pricing.training.config import PATH_KEYS, TrainingConfig


def keys(*, is_text: bool) -> set[str]:
    return {field.key for group in list_groups(is_text=is_text) for field in group.fields}


def test_every_key_of_the_configuration_has_a_field_and_no_other_has() -> None:
    listed = [key for labels in GROUPS.values() for key in labels]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(TrainingConfig.model_fields) - PATH_KEYS - {"base_model"}


def test_a_model_is_asked_only_what_it_has_a_use_for() -> None:
    assert "max_length" in keys(is_text=True) - keys(is_text=False)
    assert "resolution" in keys(is_text=False) - keys(is_text=True)
    assert "lora_rank" in keys(is_text=True) & keys(is_text=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (("lora_rank", "16"), 16),
        (("learning_rate", "1e-4"), 1e-4),
        (("packing", "false"), False),
        (("target_modules", "q_proj\r\n v_proj \n"), ["q_proj", "v_proj"]),
        (("max_steps", "many"), "many"),
        (("optimizer", "lion"), "lion"),
        (("learning_rate", "NaN"), "NaN"),
        (("lora_dropout", "1e999"), "1e999"),
        (("epochs", "9" * 5000), "9" * 5000),
    ],
)
def test_what_is_written_is_read_as_its_kind_or_left_for_the_api_to_refuse(
    text: tuple[str, str], value: object
) -> None:
    key, written = text
    assert read_config({PREFIX + key: written}, is_text=True) == {key: value}


def test_what_is_not_written_is_not_sent_and_what_is_written_as_usual_is() -> None:
    """Another rank of a template or a preset was once kept, where somebody wrote the usual one."""
    written = {"config.lora_rank": "8", "config.seed": "", "config.resolution": "512"}
    assert read_config(written, is_text=True) == {"lora_rank": 8}


def test_a_jobs_configuration_comes_back_out_of_the_form_as_it_was() -> None:
    config = {"base_model": "m", "lora_rank": 4, "target_modules": ["a", "b"], "packing": False, "epochs": 10}
    written = write_config(config)
    assert set(written) == {"config.lora_rank", "config.target_modules", "config.packing"}
    assert read_config(written, is_text=True) == {"lora_rank": 4, "target_modules": ["a", "b"], "packing": False}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: f"{preset.name}-{preset.is_text}")
def test_every_preset_is_a_configuration_that_its_models_know(preset) -> None:
    TrainingConfig(base_model="m", **preset.config)
    assert set(preset.config) <= keys(is_text=preset.is_text)


def test_a_preset_of_the_other_kind_becomes_the_usual_one() -> None:
    assert find_preset("style", is_text=True) == list_presets(is_text=True)[0]

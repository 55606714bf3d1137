"""A configuration that a job may train with: every key that does not fit is named at once, with its cure."""

from typing import Any

import pytest

from pricing.catalog.key_names import load_program_keys
from pricing.training.beside_config import BESIDE, ELSEWHERE, explain_job_key
from pricing.training.config import JOB_PATH_KEYS, TrainingConfig
from pricing.training.config_parsing import ConfigInvalid
from pricing.training.job_config import parse_job_config


def list_problems(**raw: Any) -> dict[str, str]:
    with pytest.raises(ConfigInvalid) as refused:
        parse_job_config({"base_model": "smollm2-135m-instruct", **raw})
    return {problem.field: problem.message for problem in refused.value.problems}


def test_a_configuration_comes_with_the_profile_of_its_base_model() -> None:
    config, profile = parse_job_config({"base_model": "SmolLM2 135M Instruct", "lora_rank": 4})
    assert (config.lora_rank, profile.name) == (4, "smollm2-135m-instruct")


def test_a_path_is_refused_with_the_cure() -> None:
    assert list_problems(train_data_dir="./data", output_dir="./out").keys() == {"train_data_dir", "output_dir"}
    assert "dataset_id" in list_problems(train_data_dir="./data")["train_data_dir"]


def test_what_belongs_beside_a_configuration_is_told_its_place_together_with_all_else_that_is_wrong() -> None:
    found = list_problems(gpu_type="rtx-4090", Report_To="wandb", webhook="https://x", lora_rnak=4)
    assert found == {
        "gpu_type": "unknown key; a job says it beside its config, as gpu_types",
        "Report_To": "unknown key; a job says it beside its config, as tracker",
        "webhook": "unknown key; an endpoint of POST /v1/webhook-endpoints is told of every job",
        "lora_rnak": "unknown key; did you mean lora_rank?",
    }


def test_a_word_has_one_place_and_is_none_of_the_keys_of_a_configuration() -> None:
    words = [*BESIDE, *(word for words in BESIDE.values() for word in words), *ELSEWHERE]
    assert len(words) == len(set(words))
    assert not {*words} & {*TrainingConfig.model_fields}


def test_no_word_of_another_program_sends_a_job_to_a_key_that_no_job_may_have() -> None:
    """Its paths are the broker's: a word for one of them is told what a job does instead."""
    sent = {
        word
        for table in load_program_keys().values()
        for word, key in {**table.same, **{old: new for old, (new, _) in table.changed.items()}}.items()
        if key in JOB_PATH_KEYS
    }
    assert {word for word in sent if explain_job_key(word) is None} <= JOB_PATH_KEYS


def test_what_does_not_fit_the_base_model_is_named_at_once() -> None:
    found = list_problems(target_modules=["to_k"], resolution=512, max_length=20_000)
    assert found.keys() == {"target_modules", "resolution", "max_length"}
    assert "has no module named to_k" in found["target_modules"]
    assert "reads at most" in found["max_length"]


def test_an_unknown_base_model_is_refused_with_those_that_are_on_offer() -> None:
    assert (
        "these are on offer: sd-1.5, sdxl-1.0, smollm2-135m-instruct"
        in list_problems(base_model="no-such-model")["base_model"]
    )


def test_a_model_without_a_tokenizer_can_be_estimated_but_not_quoted() -> None:
    assert "broker estimator predict" in list_problems(base_model="Llama2-7B")["base_model"]

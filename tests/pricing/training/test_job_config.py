"""A configuration that a job may train with: every key that does not fit is named at once, with its cure."""

from typing import Any

import pytest

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

import pytest

from pricing.training.adapter_parameters import UnknownTargetModules, count_adapter_parameters
from pricing.training.config import TrainingConfig


def config_of(**keys):
    return TrainingConfig(base_model="smollm2-135m-instruct", **keys)


def test_rank_8_on_q_and_v_of_a_7b_llama(llama_7b):
    config = config_of(lora_rank=8, target_modules=["q_proj", "v_proj"])
    assert count_adapter_parameters(llama_7b, config) == 4_194_304


def test_rank_8_on_the_default_modules_of_smollm2(smollm2):
    assert count_adapter_parameters(smollm2, config_of(lora_rank=8)) == 460_800


def test_a_module_named_twice_counts_once(smollm2):
    once = config_of(target_modules=["q_proj"])
    twice = config_of(target_modules=["q_proj", "q_proj"])
    assert count_adapter_parameters(smollm2, twice) == count_adapter_parameters(smollm2, once)


def test_modules_that_the_model_lacks_are_named(smollm2):
    with pytest.raises(UnknownTargetModules) as caught:
        count_adapter_parameters(smollm2, config_of(target_modules=["q_proj", "query_key_value", "to_k"]))
    assert caught.value.missing == ["query_key_value", "to_k"]
    assert "q_proj" in caught.value.known

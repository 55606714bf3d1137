"""The adapter by the keys: its modules, its kind, and as many parameters as the estimate says."""

import pytest
import torch

from pricing.training.adapter_parameters import UnknownTargetModules, count_adapter_parameters
from pricing.training.config import TrainingConfig
from trainer.base_models.peft_adapter import choose_usual_targets
from trainer.base_models.transformers_quiet import transformers
from trainer.errors import BadInput
from trainer.families.text.causal_lm import CausalLM
from trainer.profiles.local_profile import find_profile


def count_trainable(source, config) -> int:
    family = CausalLM.load(source)
    family.attach_adapter(config)
    return sum(parameter.numel() for parameter in family.model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("variant", ["lora", "rslora", "dora", "lokr"])
@pytest.mark.parametrize("targets", [None, ("down_proj",), ("all-linear",)])
@pytest.mark.parametrize("rank", [2, 16])
def test_the_estimate_counts_the_parameters_that_train(tiny_source, variant, targets, rank) -> None:
    config = TrainingConfig(base_model="tiny", variant=variant, target_modules=targets, lora_rank=rank)
    assert count_trainable(tiny_source, config) == count_adapter_parameters(find_profile(tiny_source), config)


def test_where_nobody_says_what_layers_that_are_fused_are_the_usual_ones():
    """Fault of before: a folder with Phi-3 or Phi-4 could not be trained without target_modules."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.device("meta"):
        phi = transformers.Phi3ForCausalLM(transformers.Phi3Config(vocab_size=16, pad_token_id=0, **sizes))
        qwen = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(vocab_size=16, **sizes))
    assert choose_usual_targets(phi) == ("qkv_proj",)
    assert choose_usual_targets(qwen) == ("q_proj", "v_proj")


def test_all_linear_leaves_the_output_layer_out(tiny_source) -> None:
    family = CausalLM.load(tiny_source)
    family.attach_adapter(TrainingConfig(base_model="tiny", target_modules="all-linear"))
    assert set(family.adapter_config()["target_modules"]) == set(find_profile(tiny_source).modules)


def test_a_name_that_matches_nothing_is_told_what_there_is(tiny_source) -> None:
    config = TrainingConfig(base_model="tiny", target_modules=("q_proj", "query_key_value"))
    with pytest.raises(BadInput, match=r"'query_key_value' matches no linear layer.*q_proj"):
        CausalLM.load(tiny_source).attach_adapter(config)
    with pytest.raises(UnknownTargetModules):
        count_adapter_parameters(find_profile(tiny_source), config)

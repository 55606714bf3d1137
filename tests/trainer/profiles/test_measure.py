"""What is measured on the meta device, against real runs with peft and against counting by hand."""

from functools import partial

import pytest
import torch
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from pricing.training.config import TrainingConfig
from trainer.base_models.peft_adapter import describe_adapter, put_adapter_on
from trainer.families.stable_diffusion.adapter import UNET_TARGETS, ComponentAdapters
from trainer.families.stable_diffusion.configs import get_config
from trainer.profiles.attention import measured_attention
from trainer.profiles.curves import fit_curve
from trainer.profiles.image_network import RUNS, build_image_network
from trainer.profiles.measure import measure_bytes, measure_costs, measure_work
from trainer.profiles.saved_bytes import SavedTape, count_bytes
from trainer.profiles.text_network import SIZES, build_text_network
from trainer.profiles.text_profile import measure_by_layer

TARGETS = ("q_proj", "v_proj")


def llama(**keys):
    shape = {"hidden_size": 64, "intermediate_size": 160, "num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaConfig(**{"vocab_size": 300, "num_hidden_layers": 2, "max_position_embeddings": 512, **shape, **keys})


def test_the_forward_of_a_llama_by_hand():
    measured = measure_work(build_text_network(llama()), 128, TARGETS)
    linear = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 160  # q and o, k and v, the MLP
    attention = 2 * 128 * 64  # scores and their product with the values, full square
    head = 2 * 128 * 64 * 300
    assert measured["forward_flops"] == 2 * 128 * 2 * (linear + attention) + head


def test_the_backward_needs_no_gradient_of_frozen_weights():
    """So it costs about as much as the forward, not twice."""
    measured = measure_work(build_text_network(llama(num_hidden_layers=6)), 128, TARGETS)
    assert measured["backward_flops"] < 1.35 * measured["forward_flops"]


@pytest.mark.slow
@pytest.mark.parametrize("keys", [{}, {"tie_word_embeddings": True, "attention_bias": True}])
def test_two_and_three_layers_tell_the_costs_of_all(keys):
    network = build_text_network(llama(num_hidden_layers=5, **keys), sizes=(32, 64, 96))
    assert measure_by_layer(network, TARGETS) == measure_costs(network, TARGETS)


def test_kept_bytes_are_those_of_a_real_model_with_a_real_adapter():
    """On the CPU in 16 bit; the adapter of rank 1 keeps one number a token and module of its own."""
    tokens = 96
    model = LlamaForCausalLM._from_config(llama(num_key_value_heads=4), dtype=torch.bfloat16)
    adapter = TrainingConfig(base_model="tiny", lora_rank=1)
    adapted = put_adapter_on(model, describe_adapter(adapter, list(TARGETS), "CAUSAL_LM")).to(torch.bfloat16).train()
    tape = SavedTape(adapted)
    with tape.record():
        model.get_decoder()(input_ids=torch.zeros(1, tokens, dtype=torch.long), use_cache=False)
    network = build_text_network(llama(num_key_value_heads=4))
    measured = measure_bytes(network, tokens, TARGETS)["activation_bytes"]
    assert count_bytes(tape.kept) == pytest.approx(measured, rel=0.01)


def test_checkpointing_keeps_the_inputs_of_the_layers():
    measured = measure_bytes(build_text_network(llama(num_hidden_layers=6)), 128, TARGETS)
    inputs = 6 * 128 * 64 * 2
    assert inputs <= measured["checkpoint_bytes"] < 2 * inputs
    # layers are alike, but that nothing below the first adapter is kept
    assert measured["layer_bytes"] * 5 < measured["activation_bytes"] < measured["layer_bytes"] * 6 + 2 * inputs


def test_adapters_on_all_modules_keep_more():
    measured = measure_bytes(build_text_network(llama()), 128, TARGETS)
    more = measured["all_linear_activation_bytes"] - measured["activation_bytes"]
    assert more == 2 * 128 * (64 + 160) * 2, "the inputs of gate_proj with up_proj, and of down_proj; o_proj's is kept"


def test_the_fourth_size_checks_the_polynomial():
    assert len(SIZES) == 4


@pytest.mark.slow
@pytest.mark.parametrize(("checkpointed", "teraflops"), [(False, 1.718), (True, 2.308)])
def test_sd15_with_a_real_adapter_of_rank_8_at_512_pixels(checkpointed, teraflops):
    network = build_image_network(get_config("sd15", "unet"))
    adapters = ComponentAdapters.attach(
        {"unet": network.model}, TrainingConfig(base_model="sd", lora_rank=8), UNET_TARGETS
    )
    run = RUNS["UNet2DConditionModel"](network.model)
    for module in adapters.model.modules():
        if hasattr(module, "gradient_checkpointing"):
            module.gradient_checkpointing = checkpointed
            module._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
    with measured_attention(), FlopCounterMode(display=False) as counter:
        output = run(4096)
        output.backward(torch.empty_like(output))
    assert counter.get_total_flops() / 1e12 == pytest.approx(teraflops, abs=5e-4)


def test_attention_of_stable_diffusion_3_sees_picture_and_caption_at_once():
    width, layers = 2 * 16, 2
    config = {
        "_class_name": "SD3Transformer2DModel",
        "attention_head_dim": 16,
        "caption_projection_dim": width,
        "joint_attention_dim": 48,
        "num_attention_heads": 2,
        "num_layers": layers,
        "pooled_projection_dim": 40,
        "pos_embed_max_size": 64,
        "sample_size": 64,
        "dual_attention_layers": [0],
        "qk_norm": "rms_norm",
    }
    network, sizes = build_image_network(config), (64, 256, 576)
    flops = fit_curve(sizes, [measure_work(network, size, ("to_q", "to_v"))["forward_flops"] for size in sizes])
    of_one_product = 2 * width / 4**2  # positions are packed by four
    assert flops.quadratic == pytest.approx((layers + 1) * 2 * of_one_product)
    captions = 77 + 256
    assert flops.constant > layers * 2 * 2 * width * captions**2

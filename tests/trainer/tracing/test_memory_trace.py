"""A step traced without weights allocates what the same step allocates for real, on this machine's CPU."""

from contextlib import ExitStack
from unittest.mock import patch

import pytest
import torch
from transformers import GlmConfig, LlamaConfig

from pricing.training.config import TrainingConfig
from trainer.families.stable_diffusion.configs import get_config
from trainer.machine.accelerator import AMPERE_GPU, Accelerator
from trainer.tracing.caching_allocator import SMALL_SEGMENT, replay
from trainer.tracing.gpu_attention import gpu_attention, make_bias
from trainer.tracing.gpu_autocast import gpu_autocast
from trainer.tracing.gpu_norms import gpu_norms
from trainer.tracing.image_trace import prepare_pictures
from trainer.tracing.memory_trace import count_resident, trace_step
from trainer.tracing.text_trace import prepare_text

SHAPE = {"hidden_size": 64, "intermediate_size": 160, "num_attention_heads": 4, "num_key_value_heads": 2}
SHAPE |= {"vocab_size": 9000, "num_hidden_layers": 2, "max_position_embeddings": 2048, "pad_token_id": 0}
UNET = get_config("sd15", "unet") | {
    "block_out_channels": [32, 64],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "cross_attention_dim": 32,
    "norm_num_groups": 8,
}
# A fused Adam counts its steps on the device: a block for each of the 40 matrices.
STEP_COUNTERS = 64 * 512


def attend_as_on_cpu(query, key, value, attn_mask=None, dropout_p=0.0, *, is_causal=False, scale=None, **_):
    """Attend by the kernel that torch chooses on a CPU."""
    bias = None if attn_mask is None else make_bias(attn_mask, query, key)
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return kernel(query, key, value, dropout_p, is_causal, attn_mask=bias, scale=scale)[0]


def trace(traced, device, *, autocast=False, attention="cpu"):
    with ExitStack() as stack:
        if device == "meta" and attention == "cpu":
            stack.enter_context(patch("torch.nn.functional.scaled_dot_product_attention", attend_as_on_cpu))
        if attention == "gpu":
            stack.enter_context(gpu_attention())
        if device == "meta" and autocast:
            stack.enter_context(gpu_autocast(torch.bfloat16, norms_in_32_bit=attention == "gpu"))
        return trace_step(traced, device)


def text(device, *, network=LlamaConfig, dtype=torch.bfloat16, samples=2, length=300, checkpointing=False):
    config = TrainingConfig(base_model="m", batch_size=samples, target_modules=["q_proj", "v_proj"])
    return prepare_text(
        network(**SHAPE), config, dtype, samples=samples, length=length, checkpointing=checkpointing, device=device
    )


def pictures(device, *, precision="fp32", samples=1, positions=64, checkpointing=False):
    config = TrainingConfig(base_model="m", batch_size=samples, precision=precision)
    return prepare_pictures(
        "sd15", UNET, config, samples=samples, positions=positions, checkpointing=checkpointing, device=device
    )


@pytest.mark.parametrize(("network", "checkpointing"), [(LlamaConfig, False), (GlmConfig, True)])
def test_a_step_of_a_text_model_peaks_where_a_real_one_does(network, checkpointing):
    keys = {"network": network, "checkpointing": checkpointing}
    traced, real = (replay(trace(text(device, **keys), device)) for device in ("meta", "cpu"))
    assert traced.allocated == pytest.approx(real.allocated, rel=0.003)
    assert abs(traced.reserved - real.reserved) <= SMALL_SEGMENT


def test_rows_too_many_for_one_mask_are_traced_row_by_row():
    traced, real = (replay(trace(text(device, samples=3, length=400), device)) for device in ("meta", "cpu"))
    assert traced.allocated == pytest.approx(real.allocated, rel=0.003)


@pytest.mark.parametrize(("precision", "checkpointing"), [("fp32", False), ("bf16", True)])
def test_a_step_of_a_picture_model_peaks_where_a_real_one_does(precision, checkpointing):
    keys = {"precision": precision, "checkpointing": checkpointing}
    traced, real = (
        replay(trace(pictures(device, **keys), device, autocast=precision == "bf16")) for device in ("meta", "cpu")
    )
    assert traced.allocated == pytest.approx(real.allocated, abs=STEP_COUNTERS)


def test_on_a_gpu_norms_answer_in_32_bit_and_more_is_kept():
    cpu, gpu = (
        replay(trace(pictures("meta", precision="bf16"), "meta", autocast=True, attention=attention)).allocated
        for attention in ("cpu", "gpu")
    )
    assert gpu > 1.05 * cpu


def test_what_stays_is_weights_adapter_gradients_and_two_moments():
    traced = text("meta", length=16)
    events = trace(traced, "meta")
    sizes = {event.storage: event.bytes for event in events if event.bytes is not None}
    ended = {event.storage for event in events if event.bytes is None}
    stays = sum(size for storage, size in sizes.items() if storage not in ended)
    assert stays == pytest.approx(count_resident(traced), rel=0.001)


@pytest.mark.parametrize("network", [LlamaConfig, GlmConfig])
def test_layers_by_the_kernels_of_a_gpu_need_less_than_by_those_of_every_device(monkeypatch, network):
    """So the tables that ship, which are of the latter, are an upper bound where layers are most of a step."""
    config = TrainingConfig(base_model="m", batch_size=2, target_modules=["all-linear"])
    peaks = []
    for at in (Accelerator("meta"), AMPERE_GPU):
        monkeypatch.setattr("trainer.machine.accelerator.TRACED", at)
        shape = network(**SHAPE | {"vocab_size": 200, "num_hidden_layers": 4})
        traced = prepare_text(shape, config, torch.bfloat16, samples=2, length=300, checkpointing=False)
        with gpu_norms():
            peaks.append(replay(trace(traced, "meta", attention="gpu")).allocated - count_resident(traced))
    assert peaks[0] > 1.5 * peaks[1]

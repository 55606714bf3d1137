"""Norms as one kernel: found by their parts, and the same as the model's own."""

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaForCausalLM, LlamaRMSNorm

from trainer.kernels.fused_layers import fuse_norm, use_fused_layers
from trainer.kernels.trial import passes_trial
from trainer.machine.accelerator import AMPERE_GPU

SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_hidden_layers": 2, "vocab_size": 50}


@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-6), (torch.bfloat16, 0.02)])
def test_a_fused_norm_answers_as_the_models_own(dtype, off) -> None:
    norm = LlamaRMSNorm(32, eps=1e-5).to(dtype)
    torch.nn.init.normal_(norm.weight)
    states = torch.randn(3, 32, dtype=dtype)
    expected = norm(states)
    assert (fuse_norm(norm)(states) - expected).abs().max() <= off * expected.abs().max()
    assert fuse_norm(torch.nn.LayerNorm(32)) is None


def test_every_norm_of_a_model_is_fused_where_a_gpu_is_and_none_where_not(monkeypatch) -> None:
    monkeypatch.setattr("trainer.machine.accelerator.TRACED", AMPERE_GPU)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE))
    assert use_fused_layers(model, torch.device("cpu"), torch.float32) == 0
    assert use_fused_layers(model, torch.device("meta"), torch.bfloat16) == 1
    fused = [module for module in model.modules() if "forward" in vars(module)]
    assert len(fused) == 2 * 2 + 1


def test_a_kernel_that_fails_or_answers_otherwise_is_left(capsys) -> None:
    right = torch.arange(4.0)

    def fail() -> torch.Tensor:
        raise RuntimeError("no kernel image is available")

    assert passes_trial("this", lambda: right * 1.01, lambda: right)
    assert not passes_trial("that", lambda: right * 1.1, lambda: right)
    assert not passes_trial("nan", lambda: right * float("nan"), lambda: right)
    assert not passes_trial("more", lambda: (right, right), lambda: right)
    assert not passes_trial("broken", fail, lambda: right)
    said = capsys.readouterr().out
    assert "that is 0.100 of the largest number off here; going on without it" in said
    assert "broken fails here (RuntimeError: no kernel image is available)" in said

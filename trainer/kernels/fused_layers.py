"""Norms and gates of a language model as one kernel each, on a GPU: by `liger-kernel`, or torch's own norm.

transformers writes a norm as eight small kernels, each of which reads and writes all states. What is replaced is told
by its parts and tried beside the model's own on random numbers: a norm of another formula stays.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import rms_norm

from trainer.kernels.choice import choose_norms
from trainer.kernels.trial import passes_trial
from trainer.log import write_line
from trainer.machine.accelerator import describe_accelerator

TRIAL_POSITIONS = 24
# By its name, as the meta device would take `rms_norm` apart; torch 2.9 and later have it.
HAS_FUSED_NORM = hasattr(torch.ops.aten, "_fused_rms_norm")
FUSED_NORM: Any = torch.ops.aten._fused_rms_norm if HAS_FUSED_NORM else None  # noqa: SLF001
GATED = {"gate_proj", "up_proj", "down_proj", "act_fn"}
Forward = Callable[[torch.Tensor], torch.Tensor]


def use_fused_layers(model: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> int:
    """Fuse the norms and gates that can be. Returns how many kinds of layers were; the adapter may come after it."""
    is_there = device.type == "cuda" and importlib.util.find_spec("liger_kernel") is not None
    choice = choose_norms(describe_accelerator(device), has_liger=is_there)
    if choice.kernel == "stock":
        return 0
    makers = [fuse_norm_by_liger, fuse_gate_by_liger] if choice.kernel == "liger" else [fuse_norm]
    fused = sum(_fuse_kind(model, make, device, dtype) for make in makers)
    if device.type == "cuda":
        write_line(f"norms: {choice.reason}")
    return fused


def fuse_norm(norm: Any) -> Forward | None:
    """Return a norm's way forward by torch's kernel; None where this is no norm by root mean square."""
    if not is_norm(norm):
        return None
    if HAS_FUSED_NORM:
        return lambda states: FUSED_NORM(states, [states.shape[-1]], norm.weight, norm.variance_epsilon)[0]
    return lambda states: rms_norm(states, (states.shape[-1],), norm.weight, norm.variance_epsilon)


def fuse_norm_by_liger(norm: Any) -> Forward | None:
    if not is_norm(norm):
        return None
    fused = importlib.import_module("liger_kernel.transformers.functional").liger_rms_norm
    return lambda states: fused(states, norm.weight, norm.variance_epsilon, in_place=False)


def fuse_gate_by_liger(mlp: Any) -> Forward | None:
    if {name for name, _ in mlp.named_children()} != GATED or "SiLU" not in type(mlp.act_fn).__name__:
        return None
    fused = importlib.import_module("liger_kernel.transformers.functional").liger_swiglu
    return lambda states: mlp.down_proj(fused(mlp.gate_proj(states), mlp.up_proj(states)))


def is_norm(module: Any) -> bool:
    return [*dict(module.named_parameters())] == ["weight"] and hasattr(module, "variance_epsilon")


def _fuse_kind(
    model: torch.nn.Module, make: Callable[[Any], Forward | None], device: torch.device, dtype: torch.dtype
) -> bool:
    found = [(module, fused) for module in model.modules() if (fused := make(module)) is not None]
    if not found or (device.type == "cuda" and not _agrees(*found[0], device, dtype)):
        return False
    for module, fused in found:
        module.forward = fused
    return True


def _agrees(module: Any, fused: Forward, device: torch.device, dtype: torch.dtype) -> bool:
    width = module.weight.shape[-1] if is_norm(module) else module.gate_proj.in_features
    source = torch.Generator().manual_seed(0)
    states = torch.randn(1, TRIAL_POSITIONS, width, generator=source).to(device, dtype).requires_grad_()

    def differentiate(answer: torch.Tensor) -> list[torch.Tensor]:
        return [answer, *torch.autograd.grad(answer.float().square().sum(), states)]

    name = f"{type(module).__name__} in one kernel"
    return passes_trial(name, lambda: differentiate(fused(states)), lambda: differentiate(module.forward(states)))

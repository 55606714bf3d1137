"""How near a computation is to the same in 32 bit on the CPU: its loss, and the gradient of its adapter."""

from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.gpu.figures import Figure

# 16 bit keep 8 (bf16) or 11 bits of a number; 32 bit on two devices differ by the order of their sums.
LOSS_OFF = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 5e-3}
GRADIENT_OFF = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 5e-3}


@dataclass(frozen=True)
class LossAndGradient:
    """A loss, and the gradients of all matrices in one row, on the CPU in 32 bit."""

    loss: float
    gradient: torch.Tensor


def differentiate(family: Any, batch: Any) -> LossAndGradient:
    family.model.train()
    family.model.zero_grad()
    loss = family.compute_loss(batch)
    loss.backward()
    found = [parameter.grad for parameter in family.model.parameters() if parameter.grad is not None]
    return LossAndGradient(float(loss.detach()), torch.cat([of.float().cpu().flatten() for of in found]))


def judge(name: str, here: LossAndGradient, there: LossAndGradient, dtype: torch.dtype) -> list[Figure]:
    """Compare with the CPU's: the loss by its share, the gradient by its direction and length."""
    off = abs(here.loss - there.loss) / max(abs(there.loss), 1e-9)
    turned = float((here.gradient - there.gradient).norm() / there.gradient.norm().clamp(min=1e-30))
    said = f"{here.loss:.6f} against {there.loss:.6f} in fp32 on the CPU"
    return [
        Figure(f"{name}: loss off", off, "of it", said, LOSS_OFF[dtype]),
        Figure(f"{name}: gradient off", turned, "of its length", "of fp32 on the CPU", GRADIENT_OFF[dtype] * 5),
    ]


def set_adapter(family: Any, seed: int = 5) -> None:
    """Give every matrix of the adapter numbers that are the same on every device."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in family.model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=source) / max(parameter.shape))

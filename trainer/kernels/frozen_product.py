"""Products with frozen weights, by the faster of the two libraries that torch brings for a CPU.

torch multiplies fp32 matrices with MKL. On AMD EPYC (Zen 4, 2 cores) oneDNN takes 15 % less time for SmolLM2's layers
and 35 % less for its output layer, from the weight as it lies: nothing is packed, so nothing is kept twice. On Intel
(Sapphire Rapids, 2 cores) a whole step takes 9 % less with MKL. The vendor tells which, not a measurement: the choice
decides the last bit, so a resumed run must make the same.
"""

from typing import Any

import torch
from torch.nn.functional import linear

from trainer.machine.cpu_vendor import is_made_for_mkl

# What torch's own compiler calls for a linear layer; only a torch that was built with oneDNN has it.
_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_ONEDNN: Any = torch.ops.mkldnn._linear_pointwise if _HAS_ONEDNN else None  # noqa: SLF001
USES_ONEDNN = _HAS_ONEDNN and not (torch.backends.mkl.is_available() and is_made_for_mkl())


def multiply(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, onto: torch.Tensor | None = None
) -> torch.Tensor:
    """Compute states · weightᵀ + bias + onto. Not differentiable.

    Shapes: [rows, in], [out, in], [out], [rows, out] → [rows, out].
    """
    is_for_onednn = states.device.type == "cpu" and states.dtype is torch.float32 and len(states) > 0
    if not (USES_ONEDNN and is_for_onednn):
        return _multiply_by_torch(states, weight, bias, onto)
    if onto is not None:
        added: torch.Tensor = _ONEDNN.binary(states, onto, weight, bias, "add")
        return added
    product: torch.Tensor = _ONEDNN(states, weight, bias, "none", [], "")
    return product


def multiply_back(gradient: torch.Tensor, weight: torch.Tensor, onto: torch.Tensor | None = None) -> torch.Tensor:
    """Compute the gradient of what `multiply` was given, plus `onto`.

    Shapes: [rows, out], [out, in], [rows, in] → [rows, in].
    """
    return multiply(gradient, weight.T, onto=onto)


def _multiply_by_torch(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, onto: torch.Tensor | None
) -> torch.Tensor:
    if onto is None:
        return linear(states, weight, bias)
    product = torch.addmm(onto, states, weight.T)
    return product if bias is None else product.add_(bias)

"""A frozen linear layer with or without LoRA on it; its gradients by hand."""

from dataclasses import dataclass

import torch

from trainer.families.frozen_product import multiply, multiply_back

# A [rank, in] and B [out, rank]; None for both where the layer has no adapter.
Lora = tuple[torch.Tensor, torch.Tensor] | tuple[None, None]


@dataclass(frozen=True)
class AdaptedLinear:
    """y = x·Wᵀ + b + lora_scale · x·Aᵀ·Bᵀ. Shapes: x [tokens, in], y [tokens, out]; W [out, in] and b are frozen.

    Source: Hu et al. 2021, "LoRA", section 4.1.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    lora_scale: float

    def forward(self, states: torch.Tensor, lora: Lora) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Returns y, and x·Aᵀ for the way back."""
        product, (down, up) = multiply(states, self.weight, self.bias), lora
        if down is None or up is None:
            return product, None
        narrow = states @ down.T
        return product.addmm_(narrow, up.T, alpha=self.lora_scale), narrow

    def backward(self, gradient: torch.Tensor, lora: Lora) -> torch.Tensor:
        """The gradient of x."""
        into_states, (down, up) = multiply_back(gradient, self.weight), lora
        if down is None or up is None:
            return into_states
        return into_states.addmm_(gradient @ up, down, alpha=self.lora_scale)

    def backward_lora(
        self, gradient: torch.Tensor, states: torch.Tensor | None, narrow: torch.Tensor | None, lora: Lora
    ) -> Lora:
        """The gradients of A and B. Without an adapter neither x nor x·Aᵀ is wanted."""
        _, up = lora
        if up is None or narrow is None or states is None:
            return None, None
        into_down = ((gradient @ up).T @ states).mul_(self.lora_scale)
        return into_down, (gradient.T @ narrow).mul_(self.lora_scale)

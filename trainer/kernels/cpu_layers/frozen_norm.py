"""RMSNorm under a frozen weight, forward and backward: its input and one number for each token are all that is kept."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class FrozenNorm:
    """y = x / sqrt(mean(x²) + eps) · weight. Shapes: x, y and gradients [tokens, width], scale [tokens, 1].

    Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
    """

    weight: torch.Tensor
    eps: torch.Tensor  # of no dimension

    def forward(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return y, and the scale 1 / sqrt(mean(x²) + eps) for the way back."""
        length = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
        scale = torch.addcmul(self.eps, length, length, value=1 / states.shape[-1]).rsqrt_()
        return self.apply(states, scale), scale

    def apply(self, states: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return (states * scale).mul_(self.weight)

    def backward(
        self, gradient: torch.Tensor, states: torch.Tensor, scale: torch.Tensor, residual: torch.Tensor
    ) -> torch.Tensor:
        """Compute dx = scale · (g·weight − x · scale² · mean(x · g·weight)) and add it to `residual`. Overwrites
        `gradient`.
        """
        weighted = gradient.mul_(self.weight)
        share = torch.linalg.vecdot(weighted, states)[:, None] * scale.pow(3)
        into = torch.addcmul(residual, weighted, scale)
        return into.addcmul_(states, share, value=-1 / states.shape[-1])

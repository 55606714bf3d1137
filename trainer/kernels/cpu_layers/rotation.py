"""Rotary positions: each head of queries and keys is turned by the position of its token."""

from dataclasses import dataclass
from typing import Self

import torch


@dataclass(frozen=True)
class Rotation:
    """A head's halves are the two coordinates of its points, as transformers has them: y = x·cos + partner(x)·sin.

    The partner has the halves in the other order; that of the first half counts as negative, which `sine` holds.
    Shapes: `cosine`, `sine` [tokens, 1, width of a head].
    Source: Su et al. 2021, "RoFormer", section 3.4.2.
    """

    cosine: torch.Tensor
    sine: torch.Tensor

    @classmethod
    def by_angles(cls, cosine: torch.Tensor, sine: torch.Tensor) -> Self:
        """Make the rotation of each token's cosine and sine, [tokens, width] of two equal halves."""
        first, second = sine.chunk(2, dim=1)
        return cls(cosine[:, None], torch.cat([-first, second], dim=1)[:, None])

    def turn(self, projected: torch.Tensor) -> None:
        """Turn the heads in place. Shape: [tokens, heads·width]."""
        self._turn(projected, 1)

    def turn_back(self, projected: torch.Tensor) -> None:
        """Turn the heads back in place, as the gradient goes. Shape: [tokens, heads·width]."""
        self._turn(projected, -1)

    def _turn(self, projected: torch.Tensor, direction: int) -> None:
        width = self.cosine.shape[2]
        heads = projected.unflatten(1, (-1, width))
        partner = heads.roll(width // 2, -1)
        heads.mul_(self.cosine).addcmul_(partner, self.sine, value=direction)

"""Turning by positions, against transformers' own formula."""

import torch
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from trainer.kernels.cpu_layers.rotation import Rotation

TOKENS, HEADS, WIDTH = 5, 3, 8


def make_angles() -> tuple[torch.Tensor, torch.Tensor]:
    angles = torch.randn(TOKENS, WIDTH // 2).repeat(1, 2)
    return angles.cos(), angles.sin()


def test_turning_is_that_of_transformers() -> None:
    cosine, sine = make_angles()
    heads = torch.randn(TOKENS, HEADS, WIDTH)
    expected, _ = apply_rotary_pos_emb(heads[None], heads[None], cosine[None], sine[None], unsqueeze_dim=2)
    projected = heads.flatten(1)
    Rotation.by_angles(cosine, sine).turn(projected)
    torch.testing.assert_close(projected, expected[0].flatten(1))


def test_turning_back_undoes_it_and_leaves_the_columns_beside_alone() -> None:
    before = torch.randn(TOKENS, (HEADS + 1) * WIDTH)
    both, rotation = before.clone(), Rotation.by_angles(*make_angles())
    turned = both[:, : HEADS * WIDTH]
    rotation.turn(turned)
    assert (turned - before[:, : HEADS * WIDTH]).abs().max() > 0.1
    rotation.turn_back(turned)
    torch.testing.assert_close(both, before)

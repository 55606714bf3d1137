"""The gradients by hand against torch's own, of the formula written down."""

import pytest
import torch

from trainer.kernels.cpu_layers.adapted_linear import AdaptedLinear

TOKENS, WIDTH = 7, 12
WIDTHS, RANKS, SCALES = (10, 6, 8), (3, 0, 2), (2.0, 1.0, 0.5)


def make_layer(dropout: float) -> tuple[AdaptedLinear, list[torch.Tensor | None]]:
    torch.manual_seed(0)
    lora: list[torch.Tensor | None] = []
    for width, rank in zip(WIDTHS, RANKS, strict=True):
        lora += [torch.randn(rank, WIDTH), torch.randn(width, rank)] if rank else [None, None]
    return AdaptedLinear(torch.randn(sum(WIDTHS), WIDTH), None, WIDTHS, RANKS, SCALES, dropout), lora


def compute_plainly(layer, states, lora, masks):
    """Compute the output of each layer, with every adapter's own mask on x."""
    outs, masks = [], iter(masks)
    for weight, down, up, scale in zip(layer.weight.split(WIDTHS), lora[::2], lora[1::2], SCALES, strict=True):
        out = states @ weight.T
        outs.append(out if down is None else out + scale * (states * next(masks)) @ down.T @ up.T)
    return torch.cat(outs, dim=1)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_output_and_gradients_are_those_of_the_formula(dropout) -> None:
    layer, lora = make_layer(dropout)
    states = torch.randn(TOKENS, WIDTH, requires_grad=True)
    trained = [matrix.requires_grad_() for matrix in lora if matrix is not None]
    with torch.no_grad():
        ours, joined = layer.forward(states, lora, drops=True)
    plain = compute_plainly(layer, states, lora, joined.masks or [torch.ones_like(states)] * 2)
    torch.testing.assert_close(ours, plain)

    gradient = torch.randn_like(plain)
    expected = torch.autograd.grad(plain, [states, *trained], gradient)
    with torch.no_grad():
        into_states, into_lora = layer.backward(gradient, states, joined)
    torch.testing.assert_close(into_states, expected[0])
    given = [one for one in into_lora if one is not None]
    for one, wanted in zip(given, expected[1:], strict=True):
        torch.testing.assert_close(one, wanted)


def test_each_adapter_drops_its_own_share_of_x_and_scales_up_the_rest() -> None:
    layer, lora = make_layer(0.25)
    _, joined = layer.forward(torch.randn(1000, WIDTH), lora, drops=True)
    first, second = joined.masks
    assert not torch.equal(first, second)
    for mask in joined.masks:
        assert mask.unique().tolist() == pytest.approx([0, 1 / 0.75])
        assert (mask == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_nothing_is_dropped_outside_training() -> None:
    layer, lora = make_layer(0.5)
    states = torch.randn(TOKENS, WIDTH)
    out, joined = layer.forward(states, lora)
    assert joined.masks is None
    torch.testing.assert_close(out, compute_plainly(layer, states, lora, [torch.ones_like(states)] * 2))

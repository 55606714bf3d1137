"""RMSNorm against torch's own, whose gradient autograd finds."""

import torch

from trainer.kernels.cpu_layers.frozen_norm import FrozenNorm


def test_output_and_gradient_are_those_of_torch() -> None:
    torch.manual_seed(0)
    weight, states = torch.randn(24), torch.randn(5, 24, requires_grad=True)
    norm, gradient = FrozenNorm(weight, torch.tensor(1e-3)), torch.randn(5, 24)
    expected = torch.nn.functional.rms_norm(states, (24,), weight, 1e-3)
    expected.backward(gradient)
    normed, scale = norm.forward(states.detach())
    torch.testing.assert_close(normed, expected.detach())
    torch.testing.assert_close(norm.apply(states.detach(), scale), normed)
    residual = torch.randn(5, 24)
    torch.testing.assert_close(norm.backward(gradient, states.detach(), scale, residual), states.grad + residual)

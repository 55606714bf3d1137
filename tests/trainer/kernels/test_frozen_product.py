"""The two libraries multiply alike; what oneDNN is not for goes to torch."""

import pytest
import torch

from trainer.kernels import frozen_product
from trainer.kernels.frozen_product import multiply, multiply_back


@pytest.mark.parametrize("uses_onednn", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_those_of_torch(monkeypatch, uses_onednn, rows, dtype) -> None:
    monkeypatch.setattr(frozen_product, "USES_ONEDNN", uses_onednn and frozen_product._HAS_ONEDNN)
    torch.manual_seed(0)
    states, weight, bias = (torch.randn(shape, dtype=dtype) for shape in ((rows, 24), (40, 24), (40,)))
    gradient = torch.randn(rows, 40, dtype=dtype)
    torch.testing.assert_close(multiply(states, weight), states @ weight.T)
    torch.testing.assert_close(multiply(states, weight, bias), torch.nn.functional.linear(states, weight, bias))
    torch.testing.assert_close(multiply_back(gradient, weight), gradient @ weight)
    onto, before = torch.randn(rows, 24, dtype=dtype), torch.randn(rows, 40, dtype=dtype)
    summed = torch.addmm(before, states, weight.T)  # rounded once, also in bf16
    torch.testing.assert_close(multiply(states, weight, onto=before), summed)
    torch.testing.assert_close(multiply(states, weight, bias, before), summed + bias)
    torch.testing.assert_close(multiply_back(gradient, weight, onto), torch.addmm(onto, gradient, weight))

"""The two libraries multiply alike; what oneDNN is not for goes to torch."""

import pytest
import torch

from trainer.families import frozen_product
from trainer.families.frozen_product import is_made_for_mkl, multiply, multiply_back


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


@pytest.mark.parametrize(
    ("vendor", "is_intel"), [("GenuineIntel", True), ("AuthenticAMD", False)], ids=["Intel", "AMD"]
)
def test_mkl_is_for_intel(tmp_path, vendor, is_intel) -> None:
    information = tmp_path / "cpuinfo"
    information.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n", "utf-8")
    assert is_made_for_mkl(information) is is_intel


def test_where_linux_tells_nothing_mkl_has_no_preference(tmp_path) -> None:
    assert not is_made_for_mkl(tmp_path / "cpuinfo")

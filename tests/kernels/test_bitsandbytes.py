"""bitsandbytes on a CPU: the NF4 that a base is kept in, and what it takes."""

from typing import Any

import pytest
import torch

from benchmarks.gpu.quantized import measure
from benchmarks.gpu.where import Place
from pricing.resources.method import BITS_PER_WEIGHT
from pricing.training.config import TrainingConfig
from trainer.base_models.number_format import describe_quantization

pytestmark = pytest.mark.slow  # it imports a library that looks for all kinds of accelerators first

# Source: Dettmers et al. 2023, "QLoRA", appendix E: quantiles of a normal distribution, with an exact nought.
NF4 = [-1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0]
NF4 += [0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0]


def pack(bitsandbytes: Any, weight: torch.Tensor, *, twice: bool) -> tuple[torch.Tensor, Any]:
    return bitsandbytes.functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=twice)


def test_each_number_becomes_the_nearest_of_the_papers_sixteen_in_its_block(bitsandbytes) -> None:
    blocks = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    packed, state = pack(bitsandbytes, blocks, twice=False)
    found = bitsandbytes.functional.dequantize_4bit(packed, state)
    levels, largest = torch.tensor(NF4), blocks.abs().amax(dim=1, keepdim=True)
    nearest = levels[(blocks[..., None] / largest[..., None] - levels).abs().argmin(dim=-1)] * largest
    torch.testing.assert_close(found, nearest, rtol=1e-5, atol=1e-6)


def test_what_a_weight_takes_is_what_the_estimator_counts(bitsandbytes, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    settings = describe_quantization(TrainingConfig(base_model="m", quantization="4bit"), torch.bfloat16)
    monkeypatch.undo()
    assert (settings.bnb_4bit_quant_type, settings.bnb_4bit_use_double_quant) == ("nf4", True)
    weight = torch.randn(1024, 1024, generator=torch.Generator().manual_seed(0))
    packed, state = pack(bitsandbytes, weight, twice=True)
    kept = [packed, state.absmax, state.state2.absmax]
    assert 8 * sum(part.nbytes for part in kept) / weight.numel() == pytest.approx(BITS_PER_WEIGHT["4bit"], abs=0.002)


@pytest.mark.usefixtures("bitsandbytes")
def test_loss_and_gradient_over_nf4_are_those_of_its_unpacked_numbers() -> None:
    """The very row of `make bench-gpu`."""
    figures = measure(Place(torch.device("cpu"), is_rehearsal=True)).figures
    assert [figure.holds for figure in figures] == [True, True], figures

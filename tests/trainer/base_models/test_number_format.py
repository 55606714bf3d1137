"""In which numbers a base is kept: bf16 where a GPU has it, fp16 with a scaled loss where not, fp32 on a CPU."""

import pytest
import torch

from pricing.training.config import TrainingConfig
from trainer.base_models.number_format import choose_dtype
from trainer.errors import BadInput
from trainer.training.optimizer_step import create_scaler

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("device", "has_bf16", "precision", "expected"),
    [
        (GPU, True, "auto", torch.bfloat16),
        (GPU, False, "auto", torch.float16),
        (GPU, True, "fp32", torch.float32),
        (GPU, True, "fp16", torch.float16),
        (CPU, True, "auto", torch.float32),
        (CPU, False, "bf16", torch.bfloat16),
    ],
    ids=lambda value: str(value).removeprefix("torch."),
)
def test_the_format_is_what_the_device_has(device, has_bf16, precision, expected, monkeypatch) -> None:
    """Cards before Ampere emulate bf16, and are asked without that."""
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **how: asked.append(how) or has_bf16)
    config = TrainingConfig(base_model="m", precision=precision)
    assert choose_dtype(config, device) == expected
    assert asked in ([], [{"including_emulation": False}])


def test_fp16_on_a_cpu_is_refused_with_the_cure() -> None:
    with pytest.raises(BadInput, match="fp16 needs a GPU; set precision: bf16"):
        choose_dtype(TrainingConfig(base_model="m", precision="fp16"), CPU)


@pytest.mark.parametrize(("dtype", "scales"), [(torch.float16, True), (torch.bfloat16, False), (torch.float32, False)])
def test_the_loss_is_scaled_over_a_base_in_fp16_alone(dtype, scales) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2, dtype=dtype), torch.nn.Linear(2, 2))
    assert create_scaler(model).is_enabled() is scales

"""What is said to do when a run does not fit: every kind of change, each with the GiB that it is estimated to need."""

import pytest

from pricing.catalog import get_base_model
from pricing.estimate.memory_advice import list_fits
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload


def list_changes(name: str, longest: int, gib: float, **keys) -> dict[str, float]:
    config = TrainingConfig(base_model=name, **keys)
    workload = Workload(rows=64, steps=1, micro_batches=1, samples=8, tokens=0, positions=8 * longest, longest=longest)
    fits = list_fits(get_base_model(name), config, workload, precision="bf16", available_gib=gib, on_gpu=True)
    assert all(0 < fit.gib <= gib for fit in fits)
    return {fit.describe().rpartition(" (")[0]: fit.gib for fit in fits}


def test_batch_checkpointing_rank_and_quantization_are_advised_for_text() -> None:
    changes = list_changes("llama-2-7b", 1024, 40.0, batch_size=8, lora_rank=64, target_modules=["all-linear"])
    assert {"gradient_checkpointing: true", "batch_size: 1, gradient_accumulation: 8"} <= set(changes)
    assert any("lora_rank: 4" in change for change in changes)
    assert changes["quantization: 4bit, gradient_checkpointing: true, batch_size: 1, gradient_accumulation: 8"] < 12


def test_a_model_that_fits_in_4_bit_alone_is_told_so() -> None:
    changes = list_changes("llama-2-7b", 512, 10.0, batch_size=8)
    assert changes
    assert all("quantization: 4bit" in change for change in changes)


@pytest.mark.parametrize(("name", "side", "smaller"), [("sdxl-1.0", 1024, 768), ("sd-1.5", 512, 384)])
def test_smaller_pictures_are_advised_and_need_less(name, side, smaller) -> None:
    changes = list_changes(name, (side // 8) ** 2, 60.0, batch_size=8)
    assert changes[f"resolution: {side // 2}"] < changes.get(f"resolution: {smaller}", 61.0)
    assert not any("quantization" in change for change in changes)


def test_a_smaller_batch_is_advised_where_encoding_the_pictures_before_needed_more_than_any_step() -> None:
    run = {"batch_size": 2, "quantization": "4bit", "gradient_checkpointing": True}
    changes = list_changes("sdxl-1.0", 128 * 128, 10.0, **run)
    assert changes["batch_size: 1, gradient_accumulation: 2"] == pytest.approx(8.4, abs=0.1)
    assert "batch_size: 1, gradient_accumulation: 2" not in list_changes("sdxl-1.0", 128 * 128, 8.0, **run)

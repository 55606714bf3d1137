import pytest

from pricing.resources.peak_contents import count_peak_contents
from pricing.resources.trainer_memory import TrainerMemory, estimate_trainer_peak, needs_checkpointing
from pricing.training.adapter_parameters import UnknownTargetModules
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload


def config_of(**keys):
    return TrainingConfig(**{"base_model": "m", "batch_size": 2, **keys})


def rows_of(length, rows=60):
    return Workload(rows=rows, steps=1, micro_batches=1, samples=1, tokens=1, positions=1, longest=length)


def estimate(profile, rows, *, precision="bf16", on_cpu=False, **keys):
    return estimate_trainer_peak(profile, config_of(**keys), rows, precision=precision, on_cpu=on_cpu).gib


def test_the_weights_and_the_adapter_of_smollm2_by_hand(smollm2):
    parts = TrainerMemory(smollm2, config_of(), rows_of(256), "fp32").kept.peak.parts
    assert parts.weights == pytest.approx(134_515_008 * 4 / 2**30)
    assert 460_800 * 12 / 2**30 <= parts.adapter <= 460_800 * 20 / 2**30


def test_the_peak_of_smollm2_is_near_what_a_run_was_seen_to_take(smollm2):
    """Compare with steps of 4×128 tokens in fp32, whose resident peak was 1.62 GiB (torch 2.13, 2 cores)."""
    said = estimate(smollm2, rows_of(128), precision="fp32", batch_size=4, on_cpu=True)
    assert said == pytest.approx(1.62, rel=0.05)


def test_a_cpu_has_no_cuda_and_no_blocks_that_an_allocator_keeps(smollm2):
    for traced in (smollm2, smollm2.model_copy(update={"traced": None})):
        peak = TrainerMemory(traced, config_of(), rows_of(256), "fp32").kept.peak
        on_gpu, on_cpu = peak.parts, peak.move_to_cpu().parts
        assert on_cpu.allocator == 0
        assert on_cpu.context < on_gpu.context
        assert on_cpu.activations == on_gpu.activations


def test_a_7b_llama_at_batch_1_fits_on_24_gib(llama_7b):
    assert 13 < estimate(llama_7b, rows_of(512), batch_size=1) < 24


def test_4_bit_needs_less_than_a_third_of_the_weights(llama_7b):
    packed, whole = (
        TrainerMemory(llama_7b, config_of(quantization=kind), rows_of(64), "bf16").kept.peak.parts.weights
        for kind in ("4bit", "none")
    )
    assert packed < 0.4 * whole


def test_the_advice_against_out_of_memory_helps(llama_7b):
    full = estimate(llama_7b, rows_of(512), batch_size=4)
    assert estimate(llama_7b, rows_of(512), batch_size=2) < full
    assert estimate(llama_7b, rows_of(512), batch_size=4, lora_rank=4) < full
    assert estimate(llama_7b, rows_of(256), batch_size=4) < full
    assert estimate(llama_7b, rows_of(512), batch_size=4, gradient_checkpointing=True) < full
    assert estimate(llama_7b, rows_of(512), batch_size=4, precision="fp32") > full


def test_a_batch_is_never_larger_than_the_data(llama_7b):
    few = rows_of(256, rows=2)
    assert estimate(llama_7b, few, batch_size=64) == estimate(llama_7b, few, batch_size=2)


def test_auto_recomputes_only_what_would_not_fit(llama_7b):
    config, rows = config_of(batch_size=4), rows_of(1024)
    needed = estimate_trainer_peak(llama_7b, config, rows, precision="bf16").gib
    assert not needs_checkpointing(llama_7b, config, rows, precision="bf16", available_gib=needed + 1)
    assert needs_checkpointing(llama_7b, config, rows, precision="bf16", available_gib=needed - 1)


@pytest.mark.parametrize("asked", ["auto", True, False])
def test_each_peak_is_worked_out_once_however_often_it_is_asked_for(llama_7b, monkeypatch, asked):
    counted = []

    def count(*given):
        counted.append(given)
        return count_peak_contents(*given)

    monkeypatch.setattr("pricing.resources.trainer_memory.count_peak_contents", count)
    memory = TrainerMemory(llama_7b, config_of(gradient_checkpointing=asked), rows_of(1024), "bf16")
    chosen = [memory.choose(available_gib).method.checkpointing for available_gib in (1.0, 1000.0, 1.0, 1000.0)]
    assert chosen == ([True, False] * 2 if asked == "auto" else [asked] * 4)
    assert len(counted) == (2 if asked == "auto" else 1)


def test_modules_that_the_model_lacks_are_refused(smollm2):
    with pytest.raises(UnknownTargetModules):
        estimate(smollm2, rows_of(256), target_modules=["to_k"])

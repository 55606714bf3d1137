"""What nobody would believe otherwise: more work takes longer and holds more, a larger card is no slower.

What is said here of jobs of rows of one length, with checkpointing stated, is not so of all, and rightly: where it is
unsaid, a larger batch may fit only with it; a second row pads the first; sdpa that falls back to 32 bit is slower than
eager; TRL's loss in pieces copies a whole head, however short the rows; peft keeps a packed model's embedding wide.
"""

from itertools import pairwise

import pytest

from pricing.calibration.calibration import Calibration
from pricing.catalog import load_gpus
from pricing.estimate.prediction import predict
from pricing.estimate.prediction_request import PredictionRequest

TEXT = {"base_model": "llama-3.1-8b", "gpu": "a100-80g", "sequence_length": 1024, "gradient_checkpointing": True}
SMALL = TEXT | {"base_model": "qwen2.5-0.5b", "gpu": "rtx-4060", "sequence_length": 256}
PACKED = TEXT | {"gpu": "rtx-3090", "method": "qlora-nf4", "target_modules": "all", "loss": "fused", "compiled": True}
PICTURES = {"base_model": "sdxl-1.0", "gpu": "rtx-4090", "resolution": 768, "gradient_checkpointing": True}
TRANSFORMER = PICTURES | {"base_model": "flux.1-dev", "gpu": "h100-80g"}
JOBS = {"text": TEXT, "small": SMALL, "packed": PACKED, "pictures": PICTURES, "transformer": TRANSFORMER}
# The smaller card first; of one generation each, or the same chip at more power, with more memory.
LADDERS = (
    ("rtx-2060", "rtx-2070", "rtx-2080", "rtx-2080ti"),
    ("rtx-3060", "rtx-3070", "rtx-3080", "rtx-3090", "rtx-4090", "rtx-5090"),
    ("rtx-4060", "rtx-4070", "rtx-4080", "rtx-4090"),
    ("rtx-5060", "rtx-5070", "rtx-5080", "rtx-5090"),
    ("rtx-a4000", "rtx-a5000", "a6000"),
    ("rtx-4000-ada", "rtx-4500-ada", "rtx-5000-ada", "rtx-6000-ada"),
    ("t4", "l4", "l40", "l40s"),
    ("t4", "a10", "a40"),
    ("v100-16g", "a100-40g", "a100-80g", "h100-80g", "h200", "b200"),
    ("a30", "a100-pcie-40g", "a100-40g"),
    ("h20", "h100-80g"),
    ("h100-pcie", "h100-80g"),
    ("rtx-4090-laptop", "rtx-4090"),
)


def ask(job, **changes):
    return predict(PredictionRequest.model_validate(job | changes), Calibration())


def write_precision(gpu):
    return "bf16" if load_gpus()[gpu].has_bf16 else "fp16"


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_a_larger_card_is_no_slower(job):
    for ladder in LADDERS:
        for smaller, larger in pairwise(ladder):
            slow, fast = (ask(job, gpu=gpu, precision=write_precision(gpu)) for gpu in (smaller, larger))
            assert fast.seconds_per_step.p50 <= slow.seconds_per_step.p50, (smaller, larger)


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
@pytest.mark.parametrize("gpu", ["t4", "rtx-3060", "rtx-4090", "a100-40g", "b200"])
def test_more_work_takes_longer_and_holds_more(job, gpu):
    size = "sequence_length" if "sequence_length" in job else "resolution"
    plain = job | {"gpu": gpu, "precision": write_precision(gpu), "rank": 8}
    now = ask(plain)
    for more in ({"micro_batch": 2}, {"rank": 64}, {size: 2 * job[size]}):
        then = ask(plain, **more)
        assert then.seconds_per_step.p50 >= now.seconds_per_step.p50, more
        assert then.peak_vram_gib > now.peak_vram_gib, more
        assert then.peak_vram.p90 > now.peak_vram.p90, more
    twice = ask(plain, micro_batch=2).seconds_per_step.p50
    assert twice <= 2.05 * now.seconds_per_step.p50, "two rows cost no more than two passes"
    longer, accumulated = ask(plain, steps=10_000), ask(plain, accumulation=4)
    assert longer.gpu_hours.p50 > 5 * now.gpu_hours.p50
    assert accumulated.seconds_per_step.p50 == pytest.approx(4 * now.seconds_per_step.p50)
    assert accumulated.peak_vram == now.peak_vram


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_what_is_traded_is_traded(job):
    kept, again = ask(job, gradient_checkpointing=False), ask(job, gradient_checkpointing=True)
    assert again.seconds_per_step.p50 > kept.seconds_per_step.p50
    assert again.peak_vram_gib < kept.peak_vram_gib
    one, two = ask(job), ask(job, gpus=2)
    assert one.samples_per_second <= two.samples_per_second <= 2.01 * one.samples_per_second
    assert ask(job, optimizer_bits=8).peak_vram_gib < ask(job, optimizer_bits=32).peak_vram_gib


@pytest.mark.parametrize("gpu", ["rtx-3090", "rtx-4090", "a100-80g", "h100-80g"])
def test_of_text_a_packed_base_is_smaller_and_slower_and_a_leaner_loss_holds_less(gpu):
    job = TEXT | {"gpu": gpu}
    whole, eight, four = (ask(job, method=method) for method in ("lora", "lora-int8", "qlora-nf4"))
    assert four.peak_vram_gib < eight.peak_vram_gib < whole.peak_vram_gib
    assert min(four.seconds_per_step.p50, eight.seconds_per_step.p50) > whole.seconds_per_step.p50
    losses = [ask(job, loss=loss, compiled=True, micro_batch=4).peak_vram_gib for loss in ("whole", "half", "fused")]
    assert losses == sorted(losses, reverse=True)
    eager, flash = (ask(job, attention=each, gradient_checkpointing=False) for each in ("eager", "flash"))
    assert eager.peak_vram_gib > flash.peak_vram_gib
    assert eager.seconds_per_step.p50 > flash.seconds_per_step.p50
    assert ask(job, precision="fp32").seconds_per_step.p50 > whole.seconds_per_step.p50


@pytest.mark.parametrize("job", [PICTURES, TRANSFORMER, PICTURES | {"base_model": "sd-1.5", "gpu": "t4"}])
def test_of_pictures_what_is_cached_is_cheaper(job):
    cached, encoded = ask(job, cached_latents=True), ask(job, cached_latents=False)
    assert cached.seconds_per_step.p50 < encoded.seconds_per_step.p50
    assert cached.peak_vram_gib <= encoded.peak_vram_gib

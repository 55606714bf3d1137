import pytest
from pydantic import ValidationError

from pricing.estimate.prediction_request import PredictionRefused
from pricing.resources.memory import FitJudgement
from pricing.resources.shipped_constants import load_memory_constants
from tests.pricing.estimate.predicting import FLUX, LLAMA, SPREAD, answer, width


@pytest.mark.parametrize("said", [True, False])
def test_an_eager_attention_needs_more_memory_and_time(said):
    eager, sdpa = (answer(LLAMA, gradient_checkpointing=said, attention=form) for form in ("eager", "sdpa"))
    assert eager.peak_vram_gib > sdpa.peak_vram_gib
    assert eager.seconds_per_step.p50 > sdpa.seconds_per_step.p50
    assert answer(LLAMA, gradient_checkpointing=said, attention="flash") == sdpa


def test_a_loss_in_pieces_needs_less_memory_and_what_was_not_said_is_named():
    llama_3 = LLAMA | {"base_model": "llama-3-8b", "gradient_checkpointing": True}
    whole, chunked, unsaid = (answer(llama_3, loss=form) for form in ("whole", "chunked", None))
    assert chunked.peak_vram_gib < 0.7 * whole.peak_vram_gib
    assert unsaid.peak_vram_gib == whole.peak_vram_gib
    assert any("loss not stated" in line for line in unsaid.uncertain)
    assert not any("loss" in line for line in whole.uncertain)


def test_cached_pictures_need_no_encoders_in_memory():
    """Fault of before: two FLUX runs that ran were said not to fit, as 4.9 billion parameters were counted on top."""
    recomputing = FLUX | {"gradient_checkpointing": True}
    cached, encoded = answer(recomputing), answer(recomputing, cached_latents=False)
    assert cached.peak_vram_gib < 11
    assert encoded.peak_vram_gib > cached.peak_vram_gib + 9
    assert encoded.seconds_per_step.p50 > cached.seconds_per_step.p50
    assert cached.fit is FitJudgement.FITS


def test_text_encoders_that_train_are_in_memory_and_take_longer():
    said = {"base_model": "sdxl-1.0", "gpu": "A100-40G", "resolution": 1024, "gradient_checkpointing": True}
    plain, trained = answer(said), answer(said, text_encoders=True)
    assert trained.peak_vram_parts.weights - plain.peak_vram_parts.weights == pytest.approx(1.52, abs=0.02)
    assert trained.peak_vram_parts.activations > plain.peak_vram_parts.activations
    assert trained.seconds_per_step.p50 > plain.seconds_per_step.p50
    assert trained.adapter_parameters > plain.adapter_parameters
    assert answer(said, text_encoders=False) == plain
    assert answer(said, text_encoders=True, target_modules="to_q,to_k,to_v,to_out.0") == trained
    with pytest.raises(ValidationError, match="text_encoders is of pictures"):
        answer(LLAMA, text_encoders=True)
    with pytest.raises(PredictionRefused, match="text_encoders: no program is known to train those of flux"):
        answer(FLUX, text_encoders=True)


@pytest.mark.parametrize("sizes", [(1_000_000, 1), (10_000_000, 1), (65_536, 256)])
@pytest.mark.parametrize("checkpointing", [None, True])
def test_what_no_card_could_ever_hold_does_not_fit(sizes, checkpointing):
    """Fault of before: checkpoints were taken off a share of themselves, so that ten million tokens were "tight"."""
    length, batch = sizes
    huge = {"base_model": "llama-2-70b", "gpu": "H200", "sequence_length": length, "micro_batch": batch}
    for method in ("lora", "qlora-nf4"):
        found = answer(huge, method=method, gradient_checkpointing=checkpointing)
        assert (found.fit, found.fits) == (FitJudgement.DOES_NOT_FIT, False)


def test_a_run_fits_surely_where_its_p90_does():
    found = answer(LLAMA, gradient_checkpointing=True)
    assert found.peak_vram.p50 == found.peak_vram_gib < found.peak_vram.p90
    assert found.fit is FitJudgement.FITS


def test_a_peak_is_told_part_by_part():
    said = LLAMA | {"gradient_checkpointing": True, "attention": "sdpa", "loss": "whole"}
    found = answer(said)
    assert sum(vars(found.peak_vram_parts).values()) == pytest.approx(found.peak_vram.p50)
    assert found.peak_vram_parts.weights == pytest.approx(12.55, abs=0.01)
    parts, constants = found.peak_vram_parts, load_memory_constants("published")
    assert parts.pictures == 0
    assert parts.allocator == pytest.approx((constants.slack - 1) * (parts.activations + parts.logits))
    uneven = answer(said, mean_tokens=500).peak_vram_parts
    assert uneven.allocator > 0 == uneven.pictures
    sdxl = FLUX | {"base_model": "sdxl-1.0", "method": "lora", "gradient_checkpointing": True}
    encoding = answer(sdxl, cached_latents=False).peak_vram_parts
    assert encoding.pictures > 0 == encoding.logits


def test_a_quantized_run_is_taken_as_peft_prepares_it_and_may_be_said_to_be_otherwise():
    packed = LLAMA | {"method": "qlora-nf4", "gradient_checkpointing": True, "loss": "whole", "attention": "sdpa"}
    wide, narrow, unsaid = (answer(packed, unpacked_bits=bits) for bits in (32, 16, None))
    assert narrow.peak_vram_gib < 0.8 * wide.peak_vram_gib
    assert narrow.seconds_per_step.p50 < wide.seconds_per_step.p50
    assert unsaid.peak_vram_gib == wide.peak_vram_gib
    assert width(unsaid.peak_vram) > width(wide.peak_vram)
    assert any("unpacked_bits not stated" in line for line in unsaid.uncertain)
    assert answer(packed, compiled=True).peak_vram_gib < narrow.peak_vram_gib


def test_what_is_said_of_packed_weights_moves_nothing_where_none_are():
    for request in (LLAMA | {"gradient_checkpointing": True}, FLUX | {"gradient_checkpointing": True}):
        assert answer(request, unpacked_bits=32).peak_vram_gib == answer(request).peak_vram_gib


def test_weights_said_to_be_spread_are_also_where_a_card_could_hold_them():
    """Fault of before: a 70B in 4 bit over two cards of 40 GiB was said 40 % too high, as one could just hold it."""
    two = {"base_model": "llama-2-70b", "gpu": "A100-40G", "gpus": 2, "method": "qlora-nf4", "sequence_length": 2048}
    spread, unsaid = (answer(two | {"gradient_checkpointing": True}, sharded=sharded) for sharded in (True, None))
    assert spread.peak_vram_parts.weights < 0.6 * unsaid.peak_vram_parts.weights
    assert answer(LLAMA, sharded=True) == answer(LLAMA)


def test_weights_kept_in_32_bit_hold_twice_as_much_and_are_cast_for_each_pass():
    narrow, wide, unsaid = (answer(LLAMA, gradient_checkpointing=True, weight_bits=bits) for bits in (16, 32, None))
    assert wide.peak_vram_parts.weights == pytest.approx(2 * narrow.peak_vram_parts.weights, rel=0.02)
    assert wide.seconds_per_step.p50 > narrow.seconds_per_step.p50
    assert unsaid.peak_vram_gib == narrow.peak_vram_gib
    assert width(unsaid.peak_vram) > width(narrow.peak_vram)
    assert any("weight_bits not stated: 32" in line for line in unsaid.uncertain)


def test_reentrant_checkpoints_stay_to_the_end_with_the_first_fsdp_alone():
    kept = answer(SPREAD, sharded_by="fsdp", reentrant=True)
    others = [
        answer(SPREAD, sharded_by="fsdp", reentrant=False),
        answer(SPREAD, sharded_by="fsdp2"),
        answer(SPREAD, sharded_by="zero", reentrant=True),
    ]
    gradients = 30 * 4096 * 2 * 4 * 4096 / 2**30
    assert len({other.peak_vram_gib for other in others}) == 1
    assert kept.peak_vram_gib > others[0].peak_vram_gib + 0.8 * gradients
    unsaid = answer(SPREAD, sharded_by="fsdp")
    assert unsaid.peak_vram_gib == others[0].peak_vram_gib
    assert width(unsaid.peak_vram) > width(kept.peak_vram)
    assert any("reentrant not stated" in line for line in unsaid.uncertain)
    assert not any("reentrant not stated" in line for line in kept.uncertain)


def test_on_one_gpu_nothing_is_spread_so_that_nothing_of_it_is_unsaid():
    assert answer(SPREAD, gpus=1) == answer(SPREAD, gpus=1, sharded_by="fsdp", reentrant=True)


def test_what_spreads_weights_says_that_they_are_spread():
    assert answer(SPREAD, sharded_by="zero") == answer(SPREAD, sharded_by="zero", sharded=True)
    assert answer(SPREAD, sharded_by="zero").peak_vram_gib < answer(SPREAD, sharded=False).peak_vram_gib


def test_fsdp_leaves_nothing_of_a_packed_model_in_32_bit():
    packed = SPREAD | {"method": "qlora-nf4", "reentrant": False}
    del packed["weight_bits"]
    fsdp, fsdp2 = answer(packed, sharded_by="fsdp"), answer(packed, sharded_by="fsdp2")
    assert fsdp == answer(packed, sharded_by="fsdp", unpacked_bits=16)
    assert fsdp.peak_vram_gib < fsdp2.peak_vram_gib


def test_autocast_over_weights_in_32_bit_passes_32_bit_on():
    wide = SPREAD | {"method": "lora", "gpus": 1, "weight_bits": 32}
    masters, cast = answer(wide, autocast=False), answer(wide, autocast=True)
    checkpoints = 32 * 4096 * 2 * 4 * 4096 / 2**30
    assert cast.peak_vram_gib > masters.peak_vram_gib + checkpoints
    assert answer(wide) == cast, "as nothing else casts them on one GPU"
    several = wide | {"gpus": 4}
    assert answer(several) == answer(several, autocast=False)


def test_what_sees_beside_a_language_model_stays_in_memory_frozen():
    gemma = {"base_model": "unsloth/gemma-3-4b-it-bnb-4bit", "gpu": "RTX 4090 Laptop", "sequence_length": 1024}
    whole_bytes = 2 * 4_300_079_472
    assert answer(gemma).peak_vram_parts.weights == pytest.approx(whole_bytes / 2**30, rel=0.02)


def test_checkpoints_in_the_host_s_memory_leave_the_card_a_layer():
    long = LLAMA | {"gradient_checkpointing": True, "sequence_length": 16384, "micro_batch": 1, "loss": "chunked"}
    here, away = answer(long), answer(long, offloaded=True)
    checkpoints = (32 + 2) * 4096 * 2 * 16384 / 2**30
    constants = load_memory_constants("published")
    held = constants.activations * constants.slack * checkpoints
    assert here.peak_vram_gib - away.peak_vram_gib == pytest.approx(held, rel=0.01)

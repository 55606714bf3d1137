"""The peak of our own trainer where its steps were traced."""

import pytest

from pricing.catalog import get_base_model
from pricing.resources.trainer_memory import TrainerMemory
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload

GIB = 2**30


def parts_of(profile, *, length=1024, precision="bf16", recomputed=False, **keys):
    config = TrainingConfig(**{"base_model": "m", "batch_size": 1, **keys})
    work = Workload(rows=60, steps=1, micro_batches=1, samples=1, tokens=1, positions=1, longest=length)
    memory = TrainerMemory(profile, config, work, precision)
    return (memory.recomputed if recomputed else memory.kept).peak.parts


def test_a_point_of_the_table_is_its_peak(smollm2):
    traced = smollm2.traced.find(bits=16, adapts_all=False, checkpointing=False)
    parts = parts_of(smollm2)
    assert parts.activations == pytest.approx(traced.allocated[0][1] / GIB)
    assert parts.activations + parts.allocator == pytest.approx(traced.reserved[0][1] / GIB)
    assert parts.logits == 0, "they are among what was traced"


def test_the_other_parts_are_counted_exactly(smollm2):
    parts = parts_of(smollm2, lora_rank=16, target_modules=["q_proj"])
    trained = 30 * 16 * (576 + 576)
    assert parts.weights == pytest.approx(134_515_008 * 2 / GIB)
    assert parts.adapter == pytest.approx(trained * 16 / GIB)


@pytest.mark.parametrize(("optimizer", "moments"), [("adamw", 8), ("lion", 4), ("prodigy", 16)])
def test_an_optimizer_keeps_its_own_moments(smollm2, optimizer, moments):
    trained = 460_800
    assert parts_of(smollm2, optimizer=optimizer).adapter == pytest.approx(trained * (8 + moments) / GIB)


def test_4_bit_packs_the_linear_weights_and_leaves_the_rest_in_16(smollm2):
    packed = smollm2.linear_weights
    expected = packed * 4.127 / 8 + (134_515_008 - packed) * 2 + 2 * 576 * 1536
    assert parts_of(smollm2, quantization="4bit").weights == pytest.approx(expected / GIB)


def test_larger_batches_and_longer_rows_never_need_less(smollm2):
    for recomputed in (False, True):
        by_length = [parts_of(smollm2, length=size, recomputed=recomputed).total for size in range(16, 8192, 500)]
        by_batch = [parts_of(smollm2, batch_size=size, recomputed=recomputed).total for size in range(1, 33)]
        assert by_length == sorted(by_length)
        assert by_batch == sorted(by_batch)


@pytest.mark.parametrize("keys", [{"variant": "lokr"}], ids=str)
def test_what_was_not_traced_is_summed(smollm2, keys):
    assert parts_of(smollm2, **keys).logits > 0


def test_8_bit_keeps_the_input_of_every_product_and_a_byte_of_every_weight(smollm2):
    packed, everywhere = parts_of(smollm2, quantization="8bit"), parts_of(smollm2, target_modules=["all-linear"])
    assert packed.activations == everywhere.activations > parts_of(smollm2).activations
    linear = smollm2.linear_weights
    assert packed.weights == pytest.approx((linear + (134_515_008 - linear) * 2 + 2 * 576 * 1536) / GIB)


@pytest.mark.parametrize(("name", "precision"), [("smollm2-135m-instruct", "bf16"), ("sd-1.5", "bf16")])
def test_a_dora_keeps_more_than_a_lora(name, precision):
    lora, dora = (parts_of(get_base_model(name), precision=precision, variant=variant) for variant in ("lora", "dora"))
    assert dora.logits == lora.logits == 0
    assert dora.activations > lora.activations


def test_a_unet_in_32_bit_was_traced_too():
    """In 16 bit autocast its norms answer in 32 bit and its products in 16, so that it needs less than half."""
    narrow, wide = (parts_of(get_base_model("sd-1.5"), length=4096, precision=bits) for bits in ("bf16", "fp32"))
    assert 1.2 * narrow.activations < wide.activations < 2 * narrow.activations


def test_dropout_keeps_its_mask_and_what_is_left(smollm2):
    more = parts_of(smollm2, lora_dropout=0.1).activations - parts_of(smollm2).activations
    assert 0 < more * GIB == pytest.approx(5 * 1024 * 30 * (576 + 576 + 576 + 192) / 2)


def test_vae_and_text_encoders_are_let_go_before_the_first_step_unless_samples_are_drawn():
    """Fault of before: they were counted beside the UNet, in the precision of the run, though they lie in 32 bit."""
    sd = get_base_model("sd-1.5")
    training, drawing = parts_of(sd, length=4096), parts_of(sd, length=4096, sample_prompts=["a cat"])
    assert training.weights == pytest.approx(sd.parameters * 2 / GIB)
    assert drawing.weights - training.weights == pytest.approx(4 * sum(sd.component_parameters.values()) / GIB)


def test_a_picture_that_is_dearer_to_encode_than_to_train_on_is_the_peak():
    sd = get_base_model("sd-1.5")
    parts = parts_of(sd, length=20_000, recomputed=True)
    assert parts.activations == 0 < parts.pictures


def test_sdxl_keeps_a_third_more_with_dora_where_nothing_is_computed_again():
    sdxl = get_base_model("sdxl-1.0")
    lora, dora = (parts_of(sdxl, length=128**2, variant=variant) for variant in ("lora", "dora"))
    assert dora.pictures == lora.pictures == 0
    assert 1.3 < dora.activations / lora.activations < 1.4

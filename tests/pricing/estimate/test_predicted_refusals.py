import pytest
from pydantic import ValidationError

from pricing.estimate.prediction_request import PredictionRefused, PredictionRequest
from tests.pricing.estimate.predicting import FLUX, LLAMA, SPREAD, answer

NUMBERS = ["gpus", "rank", "micro_batch", "accumulation", "sequence_length", "mean_tokens", "steps"]


@pytest.mark.parametrize("name", NUMBERS)
def test_true_is_no_number(name):
    with pytest.raises(ValidationError, match=rf"{name}\n.*give a number, not true or false"):
        PredictionRequest.model_validate(LLAMA | {name: True})


def test_a_mean_row_has_a_token():
    with pytest.raises(ValidationError, match="mean_tokens"):
        PredictionRequest.model_validate(LLAMA | {"mean_tokens": 0.5})


@pytest.mark.parametrize("said", [{"method": "qlora-nf4", "weight_bits": 32}, {"precision": "fp32", "weight_bits": 16}])
def test_bits_of_weights_go_with_weights_that_could_have_them(said):
    with pytest.raises(ValidationError, match="weight_bits"):
        answer(LLAMA, **said)


@pytest.mark.parametrize(
    ("request_", "said", "named"),
    [
        (FLUX | {"base_model": "sdxl-1.0", "method": "lora"}, 77, "reads no caption beside the picture"),
        (FLUX, 513, "at most 512"),
        (LLAMA, 77, "caption_tokens is of pictures"),
    ],
)
def test_captions_that_no_transformer_reads_are_refused(request_, said, named):
    with pytest.raises(ValueError, match=named):
        answer(request_, caption_tokens=said)


def test_a_head_is_no_wider_than_a_run_in_32_bit_and_pictures_have_none():
    whole = LLAMA | {"method": "lora", "precision": "fp32"}
    assert answer(whole, head_bits=32) == answer(whole)
    flux = {"base_model": "flux.1-dev", "gpu": "h100-80g", "resolution": 512}
    assert answer(flux, head_bits=32) == answer(flux)


@pytest.mark.parametrize(
    ("said", "named"),
    [({"sharded": False, "sharded_by": "zero"}, "sharded_by"), ({"autocast": True, "weight_bits": None}, "autocast")],
)
def test_what_does_not_go_together_of_spread_weights_and_autocast_is_refused(said, named):
    with pytest.raises(ValidationError, match=named):
        answer(SPREAD | said)


@pytest.mark.parametrize("gpu", ["A100-80G", "T4"])
def test_products_of_8_bit_floats_are_refused_where_no_tensor_core_does_them(gpu):
    with pytest.raises(PredictionRefused, match=r"no products of 8-bit floats.*weight_only"):
        answer(LLAMA | {"method": "lora-int8", "gpu": gpu, "precision": "fp16"}, eight_bit="fp8")

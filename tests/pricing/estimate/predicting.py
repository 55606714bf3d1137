"""Requests that many tests of predictions start from, and their answers by what ships."""

import math

from pricing.calibration.calibration import Calibration
from pricing.estimate.prediction import predict
from pricing.estimate.prediction_request import PredictionRequest

LLAMA = {"base_model": "llama-2-7b", "gpu": "A100-80G", "sequence_length": 2048, "micro_batch": 4}
FLUX = {"base_model": "FLUX.1-dev", "gpu": "RTX4090", "method": "qlora-nf4", "resolution": 512}
SPREAD = LLAMA | {
    "gpus": 4,
    "gradient_checkpointing": True,
    "sequence_length": 4096,
    "micro_batch": 4,
    "loss": "chunked",
    "weight_bits": 16,
    "attention": "sdpa",
}


def answer(request, **changes):
    return predict(PredictionRequest.model_validate(request | changes), Calibration())


def width(interval):
    return math.log(interval.p90 / interval.p50)

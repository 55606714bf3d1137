"""What a labelling needs: tokens bounded, time that grows with pictures, memory that says what fits."""

from pricing.calibration.calibration import Calibration
from pricing.catalog import get_gpu
from pricing.catalog.captioners import get_captioner
from pricing.estimate.label_estimate import estimate_labelling
from pricing.resources.memory import FitJudgement
from pricing.training.label_config import parse_label_config


def estimate(pictures: int, gpu: str = "rtx-3090", model: str = "blip-base", **keys: object):
    config = parse_label_config({"kind": "auto_label", **keys})
    return estimate_labelling(get_captioner(model), config, pictures, get_gpu(gpu), Calibration(), trainer_version="1")


def test_tokens_are_the_most_that_can_be_generated() -> None:
    assert estimate(120, max_tokens=40).tokens == 4800


def test_two_hundred_pictures_take_minutes_on_a_card_and_longer_on_a_cpu() -> None:
    card, cpu = estimate(200), estimate(200, "cpu")
    assert 15 <= card.gpu_seconds.p50 <= 600
    assert card.gpu_seconds.p50 < card.gpu_seconds.p90 < cpu.gpu_seconds.p50
    assert estimate(400).gpu_seconds.p50 > card.gpu_seconds.p50


def test_a_model_that_is_too_large_does_not_fit() -> None:
    assert estimate(1).fit is FitJudgement.FITS
    assert estimate(1, "cpu", "florence-2-large", batch_size=64).fit is FitJudgement.DOES_NOT_FIT

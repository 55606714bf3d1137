import pytest

from pricing.calibration.calibration import Calibration
from pricing.estimate.prediction import predict
from pricing.estimate.prediction_request import PredictionRequest
from tests.pricing.estimate.predicting import FLUX, LLAMA, answer, width


def test_unsaid_checkpointing_lies_between_and_widens_time_and_memory_and_is_named():
    unsaid, off, on = (answer(LLAMA, gradient_checkpointing=said) for said in (None, False, True))
    assert off.seconds_per_step.p50 < unsaid.seconds_per_step.p50 < on.seconds_per_step.p50
    assert on.peak_vram_gib < unsaid.peak_vram_gib < off.peak_vram_gib
    assert width(unsaid.seconds_per_step) > width(on.seconds_per_step)
    assert width(unsaid.peak_vram) > width(on.peak_vram)
    assert any("checkpointing not stated" in line for line in unsaid.uncertain)
    assert not any("checkpointing" in line for line in on.uncertain)


def test_every_doubt_that_widens_is_named():
    small = {"base_model": "sd-1.5", "method": "lora", "precision": "fp16", "resolution": 512, "cached_latents": False}
    for request, named in (
        (LLAMA | {"gpu": "a10"}, "power"),
        (LLAMA | {"gpu": "rtx-5060", "base_model": "llama-3.2-1b"}, "NVIDIA GeForce RTX 5060: few published figures"),
        (small | {"gpu": "l4"}, "host"),
        (small | {"gpu": "l4"}, "encoding in each step"),
    ):
        assert any(line.startswith(named) for line in answer(request).uncertain)
        assert not any(line.startswith(named) for line in answer(LLAMA).uncertain)


def test_rows_whose_mean_length_nobody_said_are_taken_as_full_and_that_is_named():
    unsaid, said = answer(LLAMA), answer(LLAMA, mean_tokens=2048)
    assert unsaid.seconds_per_step == said.seconds_per_step
    assert any("mean_tokens not stated" in line for line in unsaid.uncertain)
    assert not any("mean_tokens" in line for line in said.uncertain)


def test_nothing_is_said_to_narrow_a_time_that_was_measured():
    varied = LLAMA | {"sequence_length": 2048, "mean_tokens": 300, "gpu": "t4", "base_model": "llama-3.2-1b"}
    probed = answer(varied, measured_seconds_per_step={"p50": 1.0, "p90": 1.1})
    assert any("padding not stated" in line for line in answer(varied).uncertain)
    assert not any(word in line for line in probed.uncertain for word in ("padding", "power", "time", "host"))


def test_pictures_are_the_least_certain_and_say_so():
    pictures, text = answer(FLUX), answer(LLAMA, gradient_checkpointing=True)
    assert width(pictures.seconds_per_step) > width(text.seconds_per_step)
    assert any(line.startswith("pictures") for line in pictures.uncertain)


def test_an_attention_that_was_not_said_widens_a_long_row_and_moves_no_middle():
    """Fault of before: rows of 8192 tokens took twice the p50 where scores were kept, and p90 did not know of it."""
    long = LLAMA | {"sequence_length": 8192, "micro_batch": 1, "gradient_checkpointing": True, "loss": "whole"}
    unsaid, said, short = answer(long), answer(long, attention="sdpa"), answer(long, sequence_length=512)
    assert unsaid.peak_vram.p50 == said.peak_vram.p50
    assert width(unsaid.peak_vram) > width(said.peak_vram)
    assert width(short.peak_vram) < width(unsaid.peak_vram)


def test_several_devices_are_named_and_their_time_is_about_as_certain_as_that_of_one():
    """Figures of them were not farther off than others once thirty-five more rows had taught."""
    base = LLAMA | {"gradient_checkpointing": True, "micro_batch": 2}
    one, several = answer(base), answer(base, gpus=4, sharded=False)
    assert width(several.seconds_per_step) == pytest.approx(width(one.seconds_per_step), rel=0.05)
    assert any("several devices" in line for line in several.uncertain)
    assert not any("several devices" in line for line in one.uncertain)


@pytest.mark.parametrize(
    ("certain", "doubtful", "named"),
    [
        ({"sequence_length": 4096}, {"sequence_length": 32768}, "length"),
        ({"gpu": "RTX3090"}, {"gpu": "RTX3090Ti"}, "few published figures"),
        ({"mean_tokens": 2048, "grouped": False}, {"mean_tokens": 512, "grouped": False}, "lengths"),
    ],
)
def test_what_lies_farther_from_what_was_measured_is_wider_and_named(certain, doubtful, named):
    base = LLAMA | {"gradient_checkpointing": True, "micro_batch": 2}
    sure, unsure = answer(base, **certain), answer(base, **doubtful)
    assert width(unsure.seconds_per_step) > width(sure.seconds_per_step)
    assert any(named in line for line in unsure.uncertain)
    assert not any(named in line for line in sure.uncertain)


def test_a_peak_of_several_devices_or_a_long_row_is_less_certain():
    base = LLAMA | {"gradient_checkpointing": True, "attention": "flash", "loss": "whole", "weight_bits": 16}
    usual = width(answer(base).peak_vram)
    assert width(answer(base, gpus=4).peak_vram) > usual
    assert width(answer(base, sequence_length=65536, micro_batch=1).peak_vram) > 1.2 * usual


def test_a_width_that_finished_runs_taught_is_not_widened_by_doubts():
    taught = Calibration(residuals={("a100-80g",): (0.1,) * 20})
    base = LLAMA | {"gradient_checkpointing": True, "micro_batch": 1}
    short, long = (
        predict(PredictionRequest.model_validate(base | {"sequence_length": length}), taught)
        for length in (2048, 65536)
    )
    assert width(long.seconds_per_step) == pytest.approx(width(short.seconds_per_step))


def test_evaluations_and_an_optimizer_that_were_not_said_widen_a_peak_and_move_no_middle():
    """Fault of before: a script that trains by two rows and evaluates by eight held nearly twice what was said."""
    small = {"base_model": "gemma-2b", "gpu": "RTX3060", "method": "qlora-nf4", "precision": "fp16", "micro_batch": 2}
    said = small | {"sequence_length": 320, "gradient_checkpointing": True, "unpacked_bits": 32, "attention": "sdpa"}
    unsaid, none, eight = (answer(said, evaluation_batch=rows) for rows in (None, 0, 8))
    assert unsaid.peak_vram.p50 == none.peak_vram.p50 < 0.8 * eight.peak_vram.p50
    assert width(unsaid.peak_vram) > width(none.peak_vram)
    assert any("evaluation_batch not stated: 8" in each for each in unsaid.uncertain)
    assert not any("evaluation_batch" in each for each in none.uncertain)
    assert answer(said, optimizer_bits=8).peak_vram.p50 < unsaid.peak_vram.p50
    assert answer(FLUX, evaluation_batch=8).peak_vram == answer(FLUX, evaluation_batch=0).peak_vram

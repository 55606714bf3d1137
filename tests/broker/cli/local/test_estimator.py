import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from broker.cli.local.predictions import VALUES_OF_PROGRAMS, WORDS_OF_CONFIG, WORDS_OF_PROGRAMS, answer_line
from broker.cli.main import app
from pricing.calibration.calibration import Calibration
from pricing.estimate.prediction import Prediction
from pricing.estimate.prediction_request import PredictionRequest
from tests.properties import examples

LLAMA = {
    "base_model": "llama-2-7b",
    "gpu": "A100-40G",
    "gpus": 1,
    "method": "lora",
    "precision": "bf16",
    "rank": 8,
    "target_modules": "q_proj,v_proj",
    "micro_batch": 2,
    "accumulation": 1,
    "sequence_length": 512,
    "mean_tokens": 180,
    "gradient_checkpointing": None,
    "steps": 1000,
}


def predict(*requests):
    lines = "\n".join(request if isinstance(request, str) else json.dumps(request) for request in requests)
    result = CliRunner().invoke(app, ["estimator", "predict", "--json"], input=lines + "\n")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_line_of_the_issue_is_answered_with_every_key():
    (answer,) = predict(LLAMA)
    assert answer["adapter_parameters"] == 4_194_304
    assert answer["fits"] is True
    assert answer["seconds_per_step"]["p50"] < answer["seconds_per_step"]["p90"]
    assert answer["gpu_hours"]["p50"] < answer["gpu_hours"]["p90"]
    assert 13 < answer["peak_vram_gib"] < 30
    assert answer["calibration"] == "published"
    steps_alone = answer["seconds_per_step"]["p50"] * 1000 / 3600
    assert answer["gpu_hours"]["p50"] > steps_alone
    assert round(answer["tokens_per_second"] * answer["seconds_per_step"]["p50"]) == 2 * 180


def test_what_is_uncertain_is_said_in_chinese_too(monkeypatch):
    monkeypatch.setenv("BROKER_LANG", "zh")
    varied = LLAMA | {"base_model": "llama-3.1-8b", "gpu": "t4", "method": "qlora-nf4", "mean_tokens": 100, "gpus": 2}
    beyond = LLAMA | {"sequence_length": 10_000}
    pictures = {"base_model": "sd-1.5", "gpu": "l4", "resolution": 512, "cached_latents": False}
    for answer in predict(LLAMA, varied, beyond, pictures):
        assert len(answer["uncertain"]) > 1
        for sentence in answer["uncertain"]:
            assert re.search("[\u4e00-\u9fff]", sentence)
            assert not re.search(" (would|not|are|is) ", sentence)


def test_a_bad_line_is_an_error_on_that_line_alone():
    answers = predict(
        {**LLAMA, "base_model": "gpt-9"},
        {**LLAMA, "gpu": "rtx-9999"},
        {**LLAMA, "target_modules": "to_k"},
        {**LLAMA, "steps": 0},
        {**LLAMA, "resolution": 512},
        {**LLAMA, "warp": 9},
        "{",
        LLAMA,
    )
    assert [list(answer) == ["error"] for answer in answers] == [True] * 7 + [False]
    for answer, word in zip(
        answers, ("gpt-9", "rtx-9999", "to_k", "steps", "resolution", "warp", "JSON"), strict=False
    ):
        assert word in answer["error"]


def test_pictures_are_asked_for_by_their_resolution():
    (answer,) = predict({"base_model": "SD 1.5", "gpu": "rtx3090", "resolution": 512, "micro_batch": 4})
    assert answer["adapter_parameters"] == 1_594_368
    assert answer["tokens_per_second"] is None
    assert answer["samples_per_second"] > 0


def test_what_cannot_fit_is_said_not_to():
    (answer,) = predict({**LLAMA, "base_model": "llama-2-70b"})
    assert (answer["fits"], answer["fit"]) == (False, "does_not_fit")


def test_a_probe_replaces_the_estimate_of_time():
    measured = {"p50": 2.0, "p90": 2.2}
    plain, (answer,) = predict(LLAMA)[0], predict(LLAMA | {"measured_seconds_per_step": measured})
    assert answer["seconds_per_step"] == measured
    assert answer["calibration"] == "probe"
    assert answer["gpu_hours"]["p50"] > 2.0 * 1000 / 3600
    assert answer["peak_vram_gib"] == plain["peak_vram_gib"]


def test_a_method_that_the_device_cannot_run_is_refused():
    """Guards a past fault: `cpu` with a 4-bit base was said to fit."""
    for wrong, word in (("qlora-nf4", "GPU"), ("lora-int8", "GPU")):
        (answer,) = predict(LLAMA | {"gpu": "cpu", "method": wrong})
        assert word in answer["error"]
    assert "fp16" in predict(LLAMA | {"gpu": "cpu", "precision": "fp16"})[0]["error"]


@pytest.mark.parametrize(
    ("measured", "word"),
    [
        ('{"p50": 1e308, "p90": 1e308}', "604800"),
        ('{"p50": 1e-300, "p90": 1}', "greater"),
        ('{"p50": 0, "p90": 1}', "greater"),
        ('{"p50": -1, "p90": 1}', "greater"),
        ('{"p50": NaN, "p90": 1}', "finite"),
        ('{"p50": 1, "p90": Infinity}', "finite"),
        ('{"p50": 2, "p90": 1}', "p90 is at least p50"),
        ('{"p50": 2}', "required"),
        ('{"p50": 2, "p90": 2, "p99": 3}', "did you mean p90"),
    ],
)
def test_measured_seconds_that_are_none_are_refused(measured, word):
    """Guards past faults: a p50 of 1e308 was answered with Infinity, a p90 below its p50 was taken."""
    line = json.dumps(LLAMA)[:-1] + f', "measured_seconds_per_step": {measured}}}'
    assert word in predict(line)[0]["error"]


@examples(30)
@given(p50=st.floats(1e-6, 604_800), more=st.floats(1, 100), steps=st.integers(1, 10**9), gpus=st.integers(1, 1024))
def test_every_measurement_that_is_taken_has_a_finite_answer_in_order(p50, more, steps, gpus):
    measured = {"p50": p50, "p90": min(p50 * more, 604_800)}
    line = json.dumps(LLAMA | {"steps": steps, "gpus": gpus, "measured_seconds_per_step": measured})
    answer = answer_line(line, Calibration())
    assert 0 < answer["gpu_hours"]["p50"] <= answer["gpu_hours"]["p90"] < math.inf


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ({"base_model": "lama-2-7b"}, "llama-2-7b"),
        ({"gpu": "rtx-4900"}, "rtx-4090"),
        ({"method": "qlora"}, "qlora-nf4"),
        ({"precision": "bfloat16"}, "bf16"),
        ({"target_modules": "q_prj"}, "q_proj"),
        ({"microbatch": 2}, "micro_batch"),
        ({"gradient_chekpointing": True}, "gradient_checkpointing"),
        ({"attention": "flash2"}, "flash"),
        ({"attention": "flash_attention_2"}, "flash"),
        ({"method": "8bit"}, "lora-int8"),
        ({"per_device_train_batch_size": 2}, "micro_batch"),
        ({"max_seq_length": 512}, "sequence_length"),
        ({"attn_implementation": "sdpa"}, "attention"),
        ({"network_dim": 8}, "rank"),
        ({"load_in_4bit": True}, "method"),
        ({"lora_rank": 8}, "rank"),
        ({"quantization": "4bit"}, "method"),
        ({"model_name_or_path": "llama-2-7b"}, "base_model"),
    ],
)
def test_what_is_not_known_is_answered_by_what_may_have_been_meant(wrong, meant):
    assert f"did you mean {meant}?" in predict(LLAMA | wrong)[0]["error"]


@pytest.mark.parametrize("words", [WORDS_OF_PROGRAMS, WORDS_OF_CONFIG, VALUES_OF_PROGRAMS])
def test_a_word_of_another_program_means_what_there_is(words):
    said = PredictionRequest.model_json_schema()["properties"]
    values = set(re.findall('"([a-z0-9-]+)"', json.dumps(list(said.values()))))
    assert set(words.values()) <= (values if words is VALUES_OF_PROGRAMS else set(said))


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ({"cached_latents": False}, "cached_latents is of pictures: leave it out"),
        ({"vae_bits": 16}, "vae_bits is of pictures: leave it out"),
        ({"sequence_length": None, "resolution": 512, "mean_tokens": None, "loss": "fused"}, "loss is of text: leave"),
        ({"sequence_length": None, "resolution": 512}, "mean_tokens is of text: leave it out"),
        ({"weight_bits": 16, "autocast": True}, "give weight_bits 32"),
        ({"target_modules": ""}, "leave it out for the usual ones"),
        ({"target_modules": []}, "leave it out for the usual ones"),
        ({"target_modules": 5}, "leave it out for the usual ones"),
        ({"base_model": "llama-2-70"}, "did you mean llama-2-70b?"),
    ],
)
def test_what_would_be_passed_over_is_refused_in_one_sentence_with_its_cure(wrong, cure):
    (answer,) = predict(LLAMA | wrong)
    assert cure in answer["error"]
    assert len(answer["error"]) < 100


def test_rows_beyond_a_models_positions_are_named():
    near, beyond = predict(LLAMA | {"sequence_length": 4096}, LLAMA | {"sequence_length": 4097})
    assert not any("positions" in doubt for doubt in near["uncertain"])
    assert any("llama-2-7b was made for rows of 4096 tokens" in doubt for doubt in beyond["uncertain"])


def test_a_file_of_windows_is_read_as_any_other():
    """Guards a past fault: the byte order mark of a file's first line was answered with an error."""
    line = json.dumps(LLAMA)
    assert [list(answer) for answer in predict(f"\ufeff{line}\r", "\ufeff", f"{line}\r")] == [
        [*Prediction.model_fields]
    ] * 2


def test_a_name_of_any_length_is_answered_at_once():
    assert "200" in predict(LLAMA | {"base_model": "x" * 100_000})[0]["error"]


def test_every_field_is_documented_in_the_help_and_on_its_page():
    page = (Path(__file__).parents[4] / "docs" / "predictions.md").read_text(encoding="utf-8")
    listed = CliRunner().invoke(app, ["estimator", "predict", "--fields"]).stdout
    for model in (PredictionRequest, Prediction):
        for name, field in model.model_fields.items():
            assert field.description
            assert f"{name}: {field.description}" in listed
            assert f"| `{name}` |" in page
            assert field.description in page

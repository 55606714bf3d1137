import json

from typer.testing import CliRunner

from broker.cli.main import app

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

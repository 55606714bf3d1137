"""`broker estimator predict`: what scripts would take, one request a line, without a broker or a database."""

import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError

from broker.cli.words import say, speaks_chinese
from broker.errors import describe_fault
from pricing.calibration.calibration import Calibration
from pricing.catalog import UnknownBaseModel, UnknownGpu
from pricing.catalog.key_names import find_own_key
from pricing.catalog.near_names import find_near
from pricing.estimate.prediction import Prediction, predict
from pricing.estimate.prediction_request import MeasuredSeconds, PredictionRefused, PredictionRequest
from pricing.training.adapter_parameters import UnknownTargetModules

# Keys of a training's configuration that a request says otherwise; other programs' words for them lead here, too.
WORDS_OF_CONFIG = {
    "lora_rank": "rank",
    "batch_size": "micro_batch",
    "gradient_accumulation": "accumulation",
    "max_length": "sequence_length",
    "max_steps": "steps",
    "quantization": "method",
    "variant": "method",
    "optimizer": "optimizer_bits",
}
# What other programs call what a request names and no configuration of ours does; `_ask` finds what is only spelt
# otherwise.
WORDS_OF_PROGRAMS = {
    "model": "base_model",
    "fp8_base": "eight_bit",
    "attn_implementation": "attention",
    "flash_attn": "attention",
    "flash_attention": "attention",
    "sdpa": "attention",
    "xformers": "attention",
    "cache_latents": "cached_latents",
    "group_by_length": "grouped",
    "pad_to_max_length": "filled",
    "num_gpus": "gpus",
    "num_processes": "gpus",
    "per_device_eval_batch_size": "evaluation_batch",
    "use_liger_kernel": "loss",
    "use_reentrant": "reentrant",
    "zero_stage": "sharded_by",
}
VALUES_OF_PROGRAMS = {
    "4bit": "qlora-nf4",
    "nf4": "qlora-nf4",
    "8bit": "lora-int8",
    "fp8": "lora-int8",
    "deepspeed": "zero",
    "flash_attention_2": "flash",
    "flash_attention_3": "flash",
    "xformers": "flash",
    "liger": "fused",
}
BYTE_ORDER_MARK = "\ufeff"

REFUSALS = (UnknownBaseModel, UnknownGpu, UnknownTargetModules, PredictionRefused)


def list_fields(model: type[BaseModel]) -> Iterator[str]:
    """List what each field of a request or an answer means, a line each."""
    for name, field in model.model_fields.items():
        default = "" if field.is_required() else say(" Default: {default}.", default=json.dumps(field.default))
        yield f"{name}: {field.description}{default}"


def show_fields(asked: bool) -> None:
    if asked:
        parts = (
            say("A request has:"),
            *list_fields(PredictionRequest),
            "",
            say("An answer has:"),
            *list_fields(Prediction),
        )
        typer.echo("\n".join(parts))
        raise typer.Exit


def predict_lines(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, in and out.")] = False,
    fields: Annotated[  # noqa: ARG001 - it is answered before the command runs
        bool,
        typer.Option("--fields", callback=show_fields, is_eager=True, help="List the fields, with their units."),
    ] = False,
) -> None:
    """Read one request a line from standard input, and write its prediction, or an error for that line alone."""
    if not as_json:
        raise typer.BadParameter(say("add --json: requests are read from standard input, one JSON object a line"))
    for answer in answer_lines(sys.stdin):
        print(json.dumps(answer, allow_nan=False), flush=True)  # noqa: T201 - standard output is the answer


def answer_lines(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Answer one request a line; empty lines are passed over."""
    calibration = Calibration()
    for line in lines:
        if request := line.strip().removeprefix(BYTE_ORDER_MARK):
            yield answer_line(request, calibration)


def answer_line(line: str, calibration: Calibration) -> dict[str, Any]:
    try:
        request = PredictionRequest.model_validate_json(line)
        return _translate(predict(request, calibration)).model_dump(mode="json")
    except ValidationError as error:
        return {"error": "; ".join(map(_describe, error.errors()))}
    except REFUSALS as error:
        return {"error": str(error)}


def _translate(prediction: Prediction) -> Prediction:
    """Say what is uncertain in the language of whoever reads, by the catalogue that quotes are said by."""
    if not speaks_chinese():
        return prediction
    from broker.console.frame.sentences import load_sentences  # noqa: PLC0415 (what reads catalogues starts slowly)

    return prediction.model_copy(update={"uncertain": [*map(load_sentences("zh").say, prediction.uncertain)]})


def _describe(problem: Mapping[str, Any]) -> str:
    place = ".".join(map(str, problem["loc"]))
    sentence = " ".join(filter(None, (describe_fault(problem), _suggest(problem))))
    return f"{place}: {sentence}" if place else sentence


def _suggest(problem: Mapping[str, Any]) -> str:
    """Suggest the key, or the value of a key, that may have been meant."""
    if problem["type"] == "extra_forbidden":
        known = MeasuredSeconds if len(problem["loc"]) > 1 else PredictionRequest
        return _ask(str(problem["loc"][-1]), known.model_fields, _find_field)
    if problem["type"] == "literal_error" and isinstance(problem["input"], str):
        expected = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return _ask(problem["input"], expected, VALUES_OF_PROGRAMS.get)
    return ""


def _find_field(word: str) -> str | None:
    """Find the field of a request that other programs, or a training's configuration, call so."""
    key = find_own_key(word) or word
    return WORDS_OF_PROGRAMS.get(word) or WORDS_OF_CONFIG.get(key, key)


def _ask(name: str, known: Collection[str], find_meant: Callable[[str], str | None]) -> str:
    meant = find_meant(name.casefold().replace("-", "_"))
    near = meant if meant in known else find_near(name, known)
    return "" if near is None else say("- did you mean {near}?", near=near)

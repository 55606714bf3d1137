"""`broker estimator`: predictions for scripts, and how good the estimates of finished jobs were."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from pricing.catalog import UnknownBaseModel, UnknownGpu
from pricing.estimate.calibration import Calibration
from pricing.estimate.prediction import PredictionRefused, PredictionRequest, predict
from pricing.estimate.workload import UnknownTargetModules

app = typer.Typer(no_args_is_help=True, help="Predictions, and how good the estimates were.")

REFUSALS = (UnknownBaseModel, UnknownGpu, UnknownTargetModules, PredictionRefused)


@app.command("predict")
def predict_lines(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, in and out.")] = False,
) -> None:
    """Read one request a line from standard input, and write its prediction, or an error for that line alone."""
    if not as_json:
        raise typer.BadParameter("add --json: requests are read from standard input, one JSON object a line")
    for answer in answer_lines(sys.stdin):
        print(json.dumps(answer), flush=True)  # noqa: T201 - standard output is the answer


def answer_lines(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Empty lines are passed over."""
    calibration = Calibration()
    for line in lines:
        if line.strip():
            yield answer_line(line, calibration)


def answer_line(line: str, calibration: Calibration) -> dict[str, Any]:
    try:
        request = PredictionRequest.model_validate_json(line)
        return predict(request, calibration).model_dump(mode="json")
    except ValidationError as error:
        return {"error": "; ".join(map(_describe, error.errors()))}
    except REFUSALS as error:
        return {"error": str(error)}


def _describe(problem: Any) -> str:
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])

"""`broker estimator`: predictions for scripts, and how good the estimates of finished jobs were."""

import asyncio
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from broker.cli.database import reading_database
from broker.cli.options import DataDir, load_settings
from broker.config import Settings
from broker.errors import describe_fault
from broker.estimator.accuracy import MOST_JUDGED, judge_estimates
from broker.estimator.report_html import render_html
from broker.estimator.report_table import make_tables
from broker.estimator.schemas import EstimatorAccuracyOut
from broker.system import open_system
from pricing.calibration.accuracy import AccuracyReport
from pricing.calibration.calibration import Calibration
from pricing.catalog import UnknownBaseModel, UnknownGpu
from pricing.estimate.prediction import predict
from pricing.estimate.prediction_request import PredictionRefused, PredictionRequest
from pricing.training.adapter_parameters import UnknownTargetModules

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Predictions, and how good the estimates were.")

REFUSALS = (UnknownBaseModel, UnknownGpu, UnknownTargetModules, PredictionRefused)

NOTHING_TO_JUDGE = "No job has finished yet: once one has, this shows how good its estimate was."


class ReportFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    HTML = "html"


Format = Annotated[ReportFormat, typer.Option("--format", help="How it is written.")]
Output = Annotated[Path | None, typer.Option("--output", help="File to write; standard output if left out.")]


@app.command("report")
def report(as_format: Format = ReportFormat.TABLE, output: Output = None, data_dir: DataDir = None) -> None:
    """Report how good the estimates of finished jobs were: estimated and actual, coverage, error by group, drift."""
    settings = load_settings(data_dir=data_dir)
    with reading_database(settings) as urls:
        judged, as_of = asyncio.run(_judge(settings, urls.app))
    if judged is None:
        typer.echo(NOTHING_TO_JUDGE, err=True)
        raise typer.Exit(1)
    written = write_report(judged, as_of, as_format)
    if output is None:
        typer.echo(written, nl=False)
    else:
        output.write_text(written, encoding="utf-8")


async def _judge(settings: Settings, database_url: str) -> tuple[AccuracyReport | None, datetime]:
    system = open_system(settings, database_url)
    try:
        async with system.work() as work:
            return await judge_estimates(work, latest=MOST_JUDGED), work.now
    finally:
        await system.database.close()


def write_report(judged: AccuracyReport, as_of: datetime, as_format: ReportFormat) -> str:
    if as_format is ReportFormat.JSON:
        return EstimatorAccuracyOut.of(judged, as_of).model_dump_json(indent=2) + "\n"
    if as_format is ReportFormat.HTML:
        return render_html(judged, as_of)
    console = Console()
    with console.capture() as capture:
        console.print(make_tables(judged), highlight=False)
    return capture.get()


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
    """Answer one request a line; empty lines are passed over."""
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
    return f"{place}: {describe_fault(problem)}" if place else describe_fault(problem)

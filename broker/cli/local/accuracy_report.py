"""`broker estimator report`: how good the estimates of finished jobs were."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from broker.calibrations.service import get_newest_calibration
from broker.cli.local.database import reading_database
from broker.cli.local.options import DataDir, load_settings
from broker.cli.words import translate
from broker.config import Settings
from broker.estimator.accuracy import MOST_JUDGED, judge_estimates
from broker.estimator.report_html import render_html
from broker.estimator.report_table import make_tables
from broker.estimator.schemas import EstimatorAccuracyOut
from broker.system import open_system
from pricing.calibration.accuracy import AccuracyReport
from pricing.calibration.change import Change

NOTHING_TO_JUDGE = "No job has finished yet: once one has, this shows how good its estimate was."


class ReportFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    HTML = "html"


Format = Annotated[ReportFormat, typer.Option("--format", help="How it is written.")]
Output = Annotated[Path | None, typer.Option("--output", help="File to write; standard output if left out.")]


def report(
    as_format: Format = ReportFormat.TABLE,
    output: Output = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Report how good the estimates of finished jobs were: estimated and actual, coverage, error by group, drift."""
    settings = load_settings(data_dir=data_dir)
    with reading_database(settings) as urls:
        judged, as_of, changes = asyncio.run(_judge(settings, urls.app))
    if judged is None:
        typer.echo(translate(NOTHING_TO_JUDGE), err=True)
        raise typer.Exit(1)
    written = write_report(judged, as_of, ReportFormat.JSON if as_json else as_format, changes)
    if output is None:
        typer.echo(written, nl=False)
    else:
        output.write_text(written, encoding="utf-8")


async def _judge(settings: Settings, database_url: str) -> tuple[AccuracyReport | None, datetime, Mapping[str, Change]]:
    system = open_system(settings, database_url)
    try:
        async with system.work() as work:
            changes = (await get_newest_calibration(work)).changes
            return await judge_estimates(work, latest=MOST_JUDGED), work.now, changes
    finally:
        await system.database.close()


def write_report(
    judged: AccuracyReport, as_of: datetime, as_format: ReportFormat, changes: Mapping[str, Change]
) -> str:
    if as_format is ReportFormat.JSON:
        return EstimatorAccuracyOut.of(judged, as_of, changes).model_dump_json(indent=2) + "\n"
    if as_format is ReportFormat.HTML:
        return render_html(judged, as_of, changes)
    console = Console()
    with console.capture() as capture:
        console.print(make_tables(judged, changes), highlight=False)
    return capture.get()

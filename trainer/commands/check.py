"""The body of `trainer check`: print the report, write it as JSON or HTML, and on request the list of what to keep."""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console

from pricing.datasets.finding_level import Level
from pricing.training.config import TrainingConfig
from trainer.atomic_files import try_writing, writing_file
from trainer.checking.check import check_dataset, write_kept
from trainer.checking.html import render_html, sum_up_levels
from trainer.data.quality_report import Finding, QualityReport, to_json_value
from trainer.errors import ExitCode

SHOWN_OF_A_KIND = 5


def run_check(
    folder: Path,
    config: TrainingConfig | None,
    console: Console,
    *,
    json_file: Path | None = None,
    html_file: Path | None = None,
    leave_out: bool = False,
) -> ExitCode:
    """Print and write the report. BAD_INPUT if something in the folder cannot be trained on. Raises: BadInput."""
    for file in filter(None, (json_file, html_file)):
        try_writing(file.parent)
    report = check_dataset(folder, config)
    print_report(report, console)
    if json_file is not None:
        _write(json_file, json.dumps(to_json_value(report), indent=2, ensure_ascii=False) + "\n", console)
    if html_file is not None:
        _write(html_file, render_html(report), console)
    if leave_out:
        print_kept(report, write_kept(report), console)
    return ExitCode.BAD_INPUT if report.counts_by_level["error"] else ExitCode.SUCCEEDED


def print_report(report: QualityReport, console: Console) -> None:
    console.print(f"{report.folder}: {report.kind}, {sum_up_levels(report)}")
    console.print(f"  {report.counts.describe()}")
    for name, value in report.figures.items():
        console.print(f"  {name.replace('_', ' ')}: {value}")
    for histogram in report.histograms[:1]:
        console.print(f"  {histogram.title.lower()} in {histogram.unit}:")
        tallest = max(histogram.counts)
        for low, count in zip(histogram.edges, histogram.counts, strict=False):
            console.print(f"    {low:>6} {'█' * round(40 * count / tallest)} {count}".rstrip())
    for _, same in groupby(sorted(report.findings, key=_rank), key=_rank):
        _print_findings(list(same), console)


def _rank(finding: Finding) -> tuple[int, str]:
    return list(Level).index(finding.level), finding.code


def _print_findings(findings: Sequence[Finding], console: Console) -> None:
    for finding in findings[:SHOWN_OF_A_KIND]:
        console.print(f"{finding.level.value}: {finding.place} {finding.message}; {finding.cure}")
    if len(findings) > SHOWN_OF_A_KIND:
        console.print(f"  … and {len(findings) - SHOWN_OF_A_KIND} more of this kind; --json or --html has all of them")


def print_kept(report: QualityReport, file: Path | None, console: Console) -> None:
    if file is None:
        console.print("left out: every row; nothing was written")
        return
    console.print(f"kept: {len(report.kept)} rows; to train on them only, put into the YAML file:")
    console.print(f"train_data_dir: {report.folder}\nmetadata_path: {file}")


def _write(file: Path, content: str, console: Console) -> None:
    with writing_file(file) as aside:
        aside.write_text(content, encoding="utf-8")
    console.print(f"wrote {file}")

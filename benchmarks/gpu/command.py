"""`make bench-gpu`: the trainer on a GPU, correct and fast, in eight minutes at most; ARGS=--rehearse runs it on a CPU.

Prints one table, says what was left out, and writes benchmarks/results/gpu-NAME.json. The exit code is 1 where a row
failed; a bar that does not hold is shown, and counts with --strict.
"""

import argparse
import json
import re
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.gpu.boxes import Outcome, ended_by_sigterm, run_in_process, run_rows
from benchmarks.gpu.rows import ONLY_BY_NAME, ROWS, find_row
from benchmarks.gpu.where import find_place
from trainer.atomic_files import writing_file

RESULTS = Path(__file__).parents[1] / "results"
MINUTES = 8.0
LEFT_TO_WRITE = 5.0  # seconds
REHEARSED_STRETCH = 3.0  # of the boxes: a CPU that does other things imports slowly
OURS = frozenset({"trainer", "pricing", "benchmarks"})


def main(arguments: Sequence[str] | None = None, *, began: float | None = None) -> int:
    """Run what the arguments ask for. `began`: when the command did, by the monotonic clock."""
    began = time.monotonic() if began is None else began
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    names, by_name = (", ".join(row.name for row in rows) for rows in (ROWS, ONLY_BY_NAME))
    parser.add_argument("names", nargs="*", help=f"of {names} (none: all these), or {by_name}")
    parser.add_argument("--rehearse", action="store_true", help="small shapes on the CPU; no figure means anything")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="for all rows together; more than 8 stretch their boxes"
    )
    parser.add_argument("--output", type=Path, help="the folder for gpu-NAME.json; by default benchmarks/results")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bar does not hold, too")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.row:
        return measure_row(chosen.row, chosen.answer, rehearses=chosen.rehearse)
    try:
        named = [find_row(row) for row in chosen.names]
        rows = [row for row in (*ROWS, *ONLY_BY_NAME) if row in named] or list(ROWS)
        name = find_place(rehearses=chosen.rehearse).name
    except (LookupError, RuntimeError) as error:
        parser.error(str(error))
    folder = chosen.output or (None if chosen.rehearse else RESULTS)
    file = None if folder is None else name_file(name, folder)
    with ended_by_sigterm():
        outcome = run_rows(
            rows,
            partial(run_in_process, rehearses=chosen.rehearse),
            seconds=began + 60 * chosen.minutes - LEFT_TO_WRITE - time.monotonic(),
            stretch=max(chosen.minutes / MINUTES, REHEARSED_STRETCH if chosen.rehearse else 1),
            keep=partial(write_outcome, name=name, file=file, is_rehearsal=chosen.rehearse),
            tell=partial(print, flush=True),
        )
    report(outcome, name, time.monotonic() - began)
    if file is not None:
        print(f"wrote {file}")
    missed = [figure for result in outcome.results for figure in result["figures"] if figure["holds"] is False]
    return 1 if outcome.has_failed or (chosen.strict and missed) else 0


def measure_row(name: str, answer: Path, *, rehearses: bool) -> int:
    """Measure one row in this process, and leave what it says, or what it lacks, in a file."""
    try:
        said = find_row(name).measure(find_place(rehearses=rehearses)).to_json()
    except ModuleNotFoundError as error:  # also where a library looks for what it needs, which says so in its words
        if (missing := (error.name or str(error)).partition(".")[0]) in OURS:
            raise
        said = {"lacks": f"{missing} is not installed" if missing.isidentifier() else missing}
    except torch.OutOfMemoryError as error:
        said = {"lacks": f"out of memory: {str(error).partition('. ')[0]}"}
    answer.write_text(json.dumps(said), encoding="utf-8")
    return 0


def report(outcome: Outcome, name: str, seconds: float) -> None:
    console = Console(width=max(150, Console().width))
    console.print(build_table(outcome.results, name))
    for row, reason in outcome.left_out.items():
        console.print(f"left out: {row}: {reason}", markup=False, highlight=False)
    console.print(f"{len(outcome.results)} rows in {seconds:.0f} s; {len(outcome.left_out)} left out")


def build_table(results: Sequence[dict[str, Any]], name: str) -> Table:
    table = Table(title=f"The trainer on {name}")
    for heading in ("row", "figure", "value", "unit", "bar", "holds", "beside"):
        table.add_column(heading, justify="right" if heading in {"value", "bar"} else "left")
    for result in results:
        for figure in result["figures"] or [{"name": "; ".join(result["log"][:1])}]:
            table.add_row(result["row"], *describe_figure(figure))
    return table


def describe_figure(figure: dict[str, Any]) -> list[str]:
    if "value" not in figure:
        return [figure["name"], "", "", "", "", ""]
    sign = "≤" if figure["better"] == "lower" else "≥"
    bar = "" if figure["bar"] is None else f"{sign} {figure['bar']:g}"
    holds = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[figure["holds"]]
    return [figure["name"], f"{figure['value']:.4g}", figure["unit"], bar, holds, figure["beside"]]


def name_file(name: str, folder: Path) -> Path:
    """Name the file of a machine's figures, where the estimator finds it; its folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return folder / f"gpu-{words}.json"


def write_outcome(outcome: Outcome, *, name: str, file: Path | None, is_rehearsal: bool) -> None:
    """Write all that was measured so far, whole or not at all."""
    if file is None:
        return
    record = {"machine": name, "rehearsed": is_rehearsal, "rows": outcome.results, "left_out": outcome.left_out}
    with writing_file(file) as aside:
        aside.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

"""`make bench-estimator`: the estimator on published figures, each source held out in turn.

`--write` fits the constants to all rows and ships them in the catalogue.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.estimator.fit import PreparedRow, fit_memory, fit_time, prepare
from benchmarks.estimator.held_out import (
    Error,
    list_sources,
    measure_calibrated_errors,
    measure_memory_errors,
    measure_time_errors,
    summarize,
)
from benchmarks.estimator.published import UNSLOTH, read_published
from benchmarks.machine import describe_machine
from benchmarks.row import Row
from benchmarks.run import build_table, write_results
from pricing.resources.shipped_constants import FILE as SHIPPED

DEFAULT_DATA = Path(__file__).parents[3] / "shared" / "data" / "lora_speeds.csv"
RESULTS = Path(__file__).parents[1] / "results" / "estimator-published.json"
TIME_BAR, CALIBRATED_BAR, MEMORY_BAR = 0.25, 0.10, 0.10
DIGITS = 4


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimator", description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="the table of published figures")
    parser.add_argument("--rows", action="store_true", help="show every row")
    parser.add_argument("--write", action="store_true", help="fit to all rows, and ship the constants")
    chosen = parser.parse_args(arguments)
    if not chosen.data.is_file():
        parser.error(f"--data: there is no file {chosen.data}; give the table of published figures")
    console = Console()
    published, left_out = read_published(chosen.data)
    rows = [prepare(row) for row in published]
    console.print(f"{len(rows)} rows of {len(list_sources(rows))} sources; left out:")
    for found in left_out:
        console.print(f"  line {found.line}: {found.reason}")
    time, calibrated = measure_time_errors(rows), measure_calibrated_errors(rows)
    memory, wrong = measure_memory_errors(rows)
    console.print(build_source_table(rows, time, calibrated, memory))
    if chosen.rows:
        console.print(build_row_table(time, memory))
    judged = judge(time, calibrated, memory, wrong)
    console.print(build_table(judged, describe_machine()))
    write_results(RESULTS, judged, describe_machine())
    if chosen.write:
        ship(rows, time)
        console.print(f"wrote {SHIPPED}")
    return 0 if all(row.holds for row in judged) else 1


def judge(
    time: Sequence[Error], calibrated: Sequence[Error], memory: Sequence[Error], wrong: Sequence[PreparedRow]
) -> list[Row]:
    """Compare each error with the bar that the requirement names, which stands as its peer."""
    bars = [
        ("time, median error, no row of the source seen", summarize(time), TIME_BAR),
        ("time, median error, after five rows of the source", summarize(calibrated), CALIBRATED_BAR),
        ("memory, median error, no row of the source seen", summarize(memory), MEMORY_BAR),
    ]
    rows = [Row(name, "share", error, "the bar", bar, 1.0) for name, error, bar in bars]
    return [*rows, Row("rows that ran but are said not to fit", "rows", len(wrong), "rows that ran", len(memory), 0.0)]


def build_source_table(
    rows: Sequence[PreparedRow], time: Sequence[Error], calibrated: Sequence[Error], memory: Sequence[Error]
) -> Table:
    table = Table(title="Median absolute error by source, held out")
    for heading in ("source", "rows", "time", "time: ratio", "after five", "memory", "memory: ratio"):
        table.add_column(heading, justify="left" if heading == "source" else "right")
    for source in list_sources(rows):
        of_time, of_calibrated, of_memory = (_of(errors, source) for errors in (time, calibrated, memory))
        count = sum(row.row.source == source for row in rows)
        table.add_row(
            source,
            str(count),
            _share(of_time),
            _ratio(of_time),
            _share(of_calibrated),
            _share(of_memory),
            _ratio(of_memory),
        )
    table.add_row("all", str(len(rows)), _share(time), _ratio(time), _share(calibrated), _share(memory), _ratio(memory))
    return table


def _of(errors: Sequence[Error], source: str) -> list[Error]:
    return [error for error in errors if error.row.row.source == source]


def _share(errors: Sequence[Error]) -> str:
    return f"{summarize(errors):.1%}" if errors else ""


def _ratio(errors: Sequence[Error]) -> str:
    return f"{median(error.ratio for error in errors):.2f}" if errors else ""


def build_row_table(time: Sequence[Error], memory: Sequence[Error]) -> Table:
    table = Table(title="Estimated over published, held out")
    for heading in ("source", "model", "method", "GPU", "micro-batch", "size", "time", "memory"):
        table.add_column(heading)
    of_memory = {id(error.row): error.ratio for error in memory}
    of_time = {id(error.row): error.ratio for error in time}
    for row in {id(error.row): error.row for error in [*time, *memory]}.values():
        request = row.row.request
        ratios = [f"{found[id(row)]:.2f}" if id(row) in found else "" for found in (of_time, of_memory)]
        size = request.sequence_length or request.resolution
        method = f"{row.row.quantization} {row.row.trainer}"
        table.add_row(
            row.row.source, row.profile.name, method, row.gpu.sku, str(request.micro_batch), str(size), *ratios
        )
    return table


def ship(rows: Sequence[PreparedRow], time: Sequence[Error]) -> None:
    """Ship the constants of all rows, and the spread of the held-out errors: how far off a stranger's run may be."""
    learnt_from = [row for row in rows if row.row.trainer != UNSLOTH]
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    shipped["time"] = _rounded(asdict(fit_time(learnt_from)))
    shipped["memory"]["published"] = _rounded(asdict(fit_memory(learnt_from)))
    shipped["log_spread"] = round(_compute_log_spread(time), DIGITS)
    shipped["source"] = f"make bench-estimator ARGS=--write, {len(learnt_from)} published rows"
    SHIPPED.write_text(json.dumps(shipped, indent=2) + "\n", encoding="utf-8")  # type: ignore[attr-defined]


def _compute_log_spread(errors: Sequence[Error]) -> float:
    """Compute the spread of the normal distribution with the 90th percentile of log(published / estimated)."""
    logs = sorted(-math.log(error.ratio) for error in errors)
    return logs[math.ceil(0.9 * (len(logs) + 1)) - 1] / 1.2816


def _rounded(constants: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.{DIGITS}g}") for name, value in constants.items()}


if __name__ == "__main__":
    sys.exit(main())

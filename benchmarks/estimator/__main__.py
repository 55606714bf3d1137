"""`make bench-estimator`: the estimator on published figures, each program held out in turn, peers beside.

Sources that serve to judge, where the tables have any, are kept apart: nothing is fitted to them. `--write` fits the
constants to all rows that serve to fit, and ships them in the catalogue.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks.estimator.bars import judge_apart, judge_held_out
from benchmarks.estimator.doubts import fit_doubts
from benchmarks.estimator.fit import PreparedRow, fit_memory, fit_time, prepare
from benchmarks.estimator.gpu_runs import read_gpu_runs
from benchmarks.estimator.held_out import (
    Error,
    HeldOut,
    hold_apart,
    hold_out_each,
    list_doubtful,
    list_programs,
    measure_calibrated_errors,
)
from benchmarks.estimator.public_runs import read_public_runs
from benchmarks.estimator.published import UNSLOTH, read_published
from benchmarks.estimator.report import build_group_table, build_later_table, build_row_table
from benchmarks.estimator.shares import count_shares
from benchmarks.estimator.widths import measure_widths
from benchmarks.machine import describe_machine
from benchmarks.run import build_table, write_results
from pricing.resources.shipped_constants import FILE as SHIPPED

SHARED = Path(__file__).parents[3] / "shared" / "data"
TABLES = (SHARED / "lora_speeds.csv", SHARED / "lora_speeds_2.csv")
RESULTS = Path(__file__).parents[1] / "results" / "estimator-published.json"
DIGITS = 4


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimator", description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", default=TABLES, help="the tables of published figures")
    parser.add_argument("--rows", action="store_true", help="show every row")
    parser.add_argument("--write", action="store_true", help="fit to all rows that serve to, and ship the constants")
    chosen = parser.parse_args(arguments)
    if missing := [path for path in chosen.data if not path.is_file()]:
        parser.error(f"--data: there is no file {missing[0]}; give the tables of published figures")
    console = Console(width=max(140, Console().width))
    rows = read_tables(chosen.data, console)
    fitted, kept = ([row for row in rows if row.row.conditions.serves == use] for use in ("fit", "judge"))
    held_out = hold_out_each(rows)
    apart = hold_apart(fitted, kept) if kept else HeldOut([], [], [])
    console.print(build_group_table("Each program held out in turn: median absolute error", rows, held_out))
    console.print(build_later_table(held_out))
    if kept:
        console.print(build_group_table("Sources kept apart: median absolute error", kept, apart))
    if chosen.rows:
        console.print(build_row_table(held_out))
    judged = judge_held_out(rows, held_out, measure_calibrated_errors(rows))
    if kept:
        judged += judge_apart(kept, apart)
    console.print(build_table(judged, describe_machine()))
    write_results(RESULTS, judged, describe_machine())
    if chosen.write:
        ship(fitted, kept, HeldOut([*held_out.time, *apart.time], [*held_out.memory, *apart.memory], []))
        console.print(f"wrote {SHIPPED}")
    return 0 if all(row.holds for row in judged) else 1


def read_tables(paths: Sequence[Path], console: Console) -> list[PreparedRow]:
    """Read the rows of all tables, the public runs that we gathered and those of `make bench-gpu` among them, and say
    which cannot be estimated, and why.
    """
    rows = []
    for path in paths:
        published, left_out = read_published(path)
        rows += [prepare(row) for row in published]
        for found in left_out:
            console.print(f"{path.name}, line {found.line} left out: {found.reason}")
    measured, unused = read_gpu_runs()
    for reason in unused:
        console.print(reason)
    rows += [prepare(run.to_published()) for run in (*read_public_runs(), *measured)]
    console.print(f"{len(rows)} rows of {len(list_programs(rows))} programs")
    return rows


def ship(fitted: Sequence[PreparedRow], kept: Sequence[PreparedRow], found: HeldOut) -> None:
    """Ship the constants of all rows, and the spread of all errors: how far off a stranger's run may be.

    These are the errors of the rows, each program held out, and of those that are kept apart: a new program is to the
    known ones as these are to each other, whatever they serve for.
    """
    learnt_from = [row for row in fitted if row.row.trainer != UNSLOTH]
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    shipped["time"] = _rounded(asdict(fit_time(learnt_from)))
    shipped["memory"]["published"] = _rounded(asdict(fit_memory(learnt_from)))
    shipped["log_spread"] = _describe_widths(found.time)
    shipped["doubts"] = {
        "time": _rounded(fit_doubts(list_doubtful(found.time, "time"), "time")),
        "memory": _rounded(fit_doubts(list_doubtful(found.memory, "memory"), "memory")),
    }
    shipped["shares"] = _rounded(count_shares([row.row for row in (*fitted, *kept)]))
    shipped["source"] = f"make bench-estimator ARGS=--write, {len(learnt_from)} published rows"
    SHIPPED.write_text(json.dumps(shipped, indent=2) + "\n", encoding="utf-8")  # type: ignore[attr-defined]


def _describe_widths(errors: Sequence[Error]) -> dict[str, float]:
    widths = measure_widths([(error.row.row.interval_kind, error.row.row.program, error.ratio) for error in errors])
    return {kind: round(widths.get_log_spread(kind), DIGITS) for kind in ("text", "pictures")}


def _rounded(constants: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.{DIGITS}g}") for name, value in constants.items()}


if __name__ == "__main__":
    sys.exit(main())

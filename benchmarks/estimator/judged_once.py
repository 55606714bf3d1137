"""`python -m benchmarks.estimator.judged_once`: what ships, on rows by which nobody has tuned it, once.

Constants and widths are those of the catalogue, to which no program among the rows may have taught anything.
A set that has been seen is no judge any more: where its result is written already, this says so and ends. The rows then
go into `public_runs.csv`, and fresh ones take their place (`data/README.md`).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.estimator.__main__ import TABLES, read_tables
from benchmarks.estimator.bars import judge_apart
from benchmarks.estimator.fit import prepare
from benchmarks.estimator.held_out import hold_against_shipped
from benchmarks.estimator.public_runs import read_public_runs
from benchmarks.estimator.report import build_group_table
from benchmarks.machine import describe_machine
from benchmarks.run import build_table, write_results

FILE = Path(__file__).parent / "data" / "judged_once.csv"
RESULTS = Path(__file__).parents[1] / "results" / "estimator-judged-once.json"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimator.judged_once", description=__doc__)
    parser.add_argument(
        "--data", type=Path, nargs="+", default=TABLES, help="the tables that the constants were fitted to"
    )
    chosen = parser.parse_args(arguments)
    if RESULTS.is_file():
        parser.error(f"{FILE.name} has judged: its figures are in {RESULTS.name}; gather rows that nobody has seen")
    if not (waiting := read_public_runs(FILE)):
        parser.error(f"{FILE.name} has no rows: gather some that nobody has seen")
    console = Console(width=max(140, Console().width))
    kept = [prepare(run.to_published()) for run in waiting]
    programs = {row.row.program for row in kept}
    if known := sorted(programs & {row.row.program for row in read_tables(chosen.data, console)}):
        parser.error(f"{', '.join(known)} taught the constants: rows of a program that teaches do not judge")
    found = hold_against_shipped(kept)
    console.print(build_group_table(f"{FILE.name}: median absolute error", kept, found))
    judged = judge_apart(kept, found)
    console.print(build_table(judged, describe_machine()))
    write_results(RESULTS, judged, describe_machine())
    return 0 if all(row.holds for row in judged) else 1


if __name__ == "__main__":
    sys.exit(main())

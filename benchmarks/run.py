"""`make bench`: run every benchmarks/bench_*.py, print one table, write benchmarks/results.json.

The exit code is 1 where a benchmark failed; a bar that does not hold is shown and recorded, and fails nothing: a busy
machine may miss one. `--strict` makes it count.
"""

import argparse
import importlib
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.machine import describe_machine
from benchmarks.row import Row, to_record

FOLDER = Path(__file__).parent
RESULTS_FILE = FOLDER / "results.json"


@dataclass
class Outcome:
    """The rows of the benchmarks that ran, and the traceback of each that did not."""

    rows: list[Row] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def find_benchmarks(folder: Path, wanted: Sequence[str] = ()) -> list[str]:
    """Names after `bench_`, in order; all of them, or those in `wanted`.

    Raises: LookupError, for a wanted name that is not there.
    """
    found = sorted(path.stem.removeprefix("bench_") for path in folder.glob("bench_*.py"))
    unknown = sorted(set(wanted) - set(found))
    if unknown:
        raise LookupError(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(found) or 'none'}")
    return [name for name in found if name in wanted] if wanted else found


def load_measure(name: str) -> Callable[[], list[Row]]:
    module = importlib.import_module(f"benchmarks.bench_{name}")
    measure: Callable[[], list[Row]] = module.measure
    return measure


def run_benchmarks(
    names: Sequence[str], console: Console, load: Callable[[str], Callable[[], list[Row]]] = load_measure
) -> Outcome:
    """Run one after another; a failing one is noted and the rest still run."""
    outcome = Outcome()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("benchmarks", total=len(names))
        for name in names:
            progress.update(task, description=name)
            try:
                outcome.rows.extend(load(name)())
            except Exception:  # noqa: BLE001 (whatever one benchmark raises, the others still run)
                outcome.failures[name] = traceback.format_exc()
            progress.advance(task)
    return outcome


def build_table(rows: Sequence[Row], machine: str) -> Table:
    table = Table(title=f"Benchmarks on {machine}")
    for heading in ("benchmark", "unit", "peer or limit"):
        table.add_column(heading)
    for heading in ("ours", "peer", "ratio", "bar"):
        table.add_column(heading, justify="right")
    table.add_column("holds")
    for row in rows:
        sign = "≤" if row.better == "lower" else "≥"
        verdict = "[green]yes[/]" if row.holds else "[red]no[/]"
        numbers = (f"{row.ours:,.4g}", f"{row.peer:,.4g}", f"{row.ratio:.3g}", f"{sign} {row.bar:g}")
        table.add_row(row.name, row.unit, row.peer_name, *numbers, verdict)
    return table


def write_results(path: Path, rows: Sequence[Row], machine: str) -> None:
    records = [to_record(row, machine) for row in rows]
    path.write_text(json.dumps(records, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def report_outcome(outcome: Outcome, console: Console, results_file: Path | None) -> None:
    machine = describe_machine()
    console.print(build_table(outcome.rows, machine))
    if results_file is not None:
        write_results(results_file, outcome.rows, machine)
        console.print(f"wrote {results_file}")
    for name, trace in outcome.failures.items():
        console.print(f"[red]{name} failed[/]")
        console.print(trace, markup=False, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Measure ours against a peer.")
    parser.add_argument(
        "names", nargs="*", help="benchmarks to show, without bench_; none: run all and write results.json"
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bar does not hold, too")
    chosen = parser.parse_args(arguments)
    try:
        names = find_benchmarks(FOLDER, chosen.names)
    except LookupError as error:
        parser.error(str(error))
    outcome = run_benchmarks(names, console := Console())
    report_outcome(outcome, console, None if chosen.names else RESULTS_FILE)
    missed = chosen.strict and not all(row.holds for row in outcome.rows)
    return 1 if outcome.failures or missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""`make bench-trainer`: every comparison, or those that are named; one table, and benchmarks/results/NAME.json."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.row import Row
from benchmarks.run import report_outcome, run_benchmarks
from benchmarks.trainer import start_up, text

RESULTS = Path(__file__).parents[1] / "results"
MEASURES: dict[str, Callable[[], list[Row]]] = {
    "start-up": start_up.measure,
    "text-fixed": text.measure_fixed,
    "text-mixed": text.measure_mixed,
    "text-bf16": text.measure_bf16,
}


def name_results_file(machine: str) -> Path:
    """One file for each machine, so that numbers of different ones are never mistaken for each other."""
    words = re.sub(r"[^a-z0-9]+", "-", machine.lower()).strip("-")
    return RESULTS / f"trainer-{words}.json"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MEASURES)}; none: all, and write the results")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bar does not hold, too")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - set(MEASURES))
    if unknown:
        parser.error(f"no comparison named {', '.join(unknown)}; there are: {', '.join(MEASURES)}")
    names = [name for name in MEASURES if name in chosen.names or not chosen.names]
    outcome = run_benchmarks(names, console := Console(), lambda name: MEASURES[name])
    RESULTS.mkdir(exist_ok=True)
    report_outcome(outcome, console, None if chosen.names else name_results_file(describe_machine()))
    missed = chosen.strict and not all(row.holds for row in outcome.rows)
    return 1 if outcome.failures or missed else 0


if __name__ == "__main__":
    sys.exit(main())

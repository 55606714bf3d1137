"""`make bench-trainer`: every comparison, or those that are named; one table, and benchmarks/results/MACHINE.json.

The file has the newest row of each name: a comparison that is run alone leaves the other rows as they are.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.row import Row, to_record
from benchmarks.run import report_outcome, run_benchmarks
from benchmarks.trainer import image, start_up, switch, text

RESULTS = Path(__file__).parents[1] / "results"
MEASURES: dict[str, Callable[[int], list[Row]]] = {
    "start-up": start_up.measure,
    "text-fixed": text.measure_fixed,
    "text-mixed": text.measure_mixed,
    "text-mixed-by-eight": text.measure_mixed_by_eight,
    "text-bf16": text.measure_bf16,
    "image": image.measure,
    "switch": lambda _rounds: switch.measure(),  # has many switches of its own
}


def name_results_file(machine: str) -> Path:
    """One file for each machine, so that numbers of different ones are never mistaken for each other."""
    words = re.sub(r"[^a-z0-9]+", "-", machine.lower()).strip("-")
    return RESULTS / f"trainer-{words}.json"


def merge_results(rows: Sequence[Row], machine: str) -> Path:
    """Put the rows into the machine's file, each in place of its former self."""
    RESULTS.mkdir(exist_ok=True)
    file = name_results_file(machine)
    records = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    by_name = {record["name"]: record for record in records} | {row.name: to_record(row, machine) for row in rows}
    file.write_text(json.dumps(list(by_name.values()), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MEASURES)}; none: all")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side, of which the median counts")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bar does not hold, too")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - set(MEASURES))
    if unknown:
        parser.error(f"no comparison named {', '.join(unknown)}; there are: {', '.join(MEASURES)}")
    names = [name for name in MEASURES if name in chosen.names or not chosen.names]
    outcome = run_benchmarks(names, console := Console(), lambda name: partial(MEASURES[name], chosen.rounds))
    report_outcome(outcome, console, None)
    console.print(f"wrote {merge_results(outcome.rows, describe_machine())}")
    missed = chosen.strict and not all(row.holds for row in outcome.rows)
    return 1 if outcome.failures or missed else 0


if __name__ == "__main__":
    sys.exit(main())

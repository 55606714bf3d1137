"""The tables of `make bench-estimator`: errors and coverage by kind of job, class of card and program, peers beside."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median

from rich.table import Table

from benchmarks.estimator.doubts import cover_later_sets, fit_doubts
from benchmarks.estimator.fit import INDEPENDENT_ROWS, PreparedRow
from benchmarks.estimator.held_out import (
    Error,
    HeldOut,
    list_doubtful,
    list_programs,
    measure_peer_errors,
    summarize,
    summarize_programs,
)
from benchmarks.estimator.peers import estimate_by_fitcheck, estimate_by_kavier, estimate_by_rule
from pricing.resources.shipped_constants import Measured

HEADINGS = ("rows", "time", "ratio", "the rule", "kavier", "p90 covers", "memory", "ratio", "fitcheck", "p90 covers")


def name_card_class(row: PreparedRow) -> str:
    """Name the class of a card: GeForce by name, the others by what limits them."""
    return "consumer" if row.run.gpu.sku.startswith("rtx-") else row.run.gpu.power_class


GROUPS: tuple[tuple[str, Callable[[PreparedRow], str]], ...] = (
    ("kind of job", lambda row: row.row.kind),
    ("class of card", name_card_class),
    ("program", lambda row: row.row.program),
)


def build_group_table(title: str, rows: Sequence[PreparedRow], found: HeldOut) -> Table:
    """Build one table with a line for each kind of job, class of card and program, and one for all rows."""
    table = Table(title=title)
    table.add_column("")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for _, key in GROUPS:
        for value in sorted({key(row) for row in rows}):
            _add_line(table, value, [row for row in rows if key(row) == value], _pick(found, key, value))
        table.add_section()
    _add_line(table, "all", rows, found)
    _add_programs(table, rows, found)
    return table


def _add_programs(table: Table, rows: Sequence[PreparedRow], found: HeldOut) -> None:
    """Add the median of the programs' medians, and how many programs there are."""
    time, memory = (f"{summarize_programs(each):.1%}" if each else "" for each in (found.time, found.memory))
    table.add_row("programs, each as one", str(len(list_programs(rows))), time, *[""] * 4, memory)


def _pick(found: HeldOut, key: Callable[[PreparedRow], str], value: str) -> HeldOut:
    time, memory = ([error for error in errors if key(error.row) == value] for errors in (found.time, found.memory))
    return HeldOut(time, memory, [])


def _add_line(table: Table, name: str, rows: Sequence[PreparedRow], found: HeldOut) -> None:
    of_rule, of_kavier, of_fitcheck = measure_peers(rows)
    table.add_row(
        name,
        str(len(rows)),
        _share(found.time),
        _ratio(found.time),
        _share(of_rule),
        _counted(of_kavier, found.time),
        _coverage(found.time),
        _share(found.memory),
        _ratio(found.memory),
        _counted(of_fitcheck, found.memory),
        _coverage(found.memory),
    )


def measure_peers(rows: Sequence[PreparedRow]) -> tuple[list[Error], list[Error], list[Error]]:
    """Measure the errors of the simplest rule and of kavier in time, and of fitcheck-llm in memory."""
    return (
        measure_peer_errors(rows, estimate_by_rule, lambda row: row.row.seconds),
        measure_peer_errors(rows, estimate_by_kavier, lambda row: row.row.seconds),
        measure_peer_errors(rows, estimate_by_fitcheck, lambda row: row.row.memory_gib),
    )


def on_rows_of(errors: Sequence[Error], of: Sequence[Error]) -> list[Error]:
    """Keep the errors of the rows that the others are of, so that both are judged by the same."""
    rows = {id(error.row) for error in of}
    return [error for error in errors if id(error.row) in rows]


def _counted(peer: Sequence[Error], ours: Sequence[Error]) -> str:
    """Say a peer's error, ours on the same rows, and how many these are."""
    same = on_rows_of(ours, peer)
    return f"{summarize(peer):.0%} : {summarize(same):.0%} ({len(same)})" if same else ""


def _coverage(errors: Sequence[Error]) -> str:
    return f"{measure_coverage(errors):.0%}" if errors else ""


def measure_coverage(errors: Sequence[Error]) -> float:
    """Measure the share of rows at or below the p90 that was estimated for them."""
    return sum(error.is_covered for error in errors) / len(errors)


def measure_coverage_of_programs(errors: Sequence[Error]) -> float:
    """Measure it with the rows of a program counted as four at most: they share code and machine.

    A first error counts the less the more its estimate has changed since.
    """
    counts = Counter(error.row.row.program for error in errors)
    weights = [min(1.0, INDEPENDENT_ROWS / counts[error.row.row.program]) * error.belief for error in errors]
    covered = sum(weight for error, weight in zip(errors, weights, strict=True) if error.is_covered)
    return covered / sum(weights)


def measure_share_within_p50(errors: Sequence[Error]) -> float:
    """Measure the share of rows at or below the middle that was estimated, every program as one, as each teaches."""
    counts = Counter(error.row.row.program for error in errors)
    return sum((error.ratio >= 1) / counts[error.row.row.program] for error in errors) / len(counts)


def _share(errors: Sequence[Error]) -> str:
    return f"{summarize(errors):.1%}" if errors else ""


def _ratio(errors: Sequence[Error]) -> str:
    return f"{median(error.ratio for error in errors):.2f}" if errors else ""


def build_later_table(found: HeldOut) -> Table:
    """Build a table of how widths of the first errors of some sets covered the set that judged after them."""
    table = Table(title="Widths of the sets before, on the next that judged, as it was estimated then")
    for heading in ("", "set", "programs before", "programs", "p90 covers"):
        table.add_column(heading, justify="right")
    kinds: tuple[tuple[Measured, list[Error]], ...] = (("time", found.time), ("memory", found.memory))
    for measured, errors in kinds:
        doubtful = list_doubtful(errors, measured)
        for number, before, programs, share in cover_later_sets(doubtful, fit_doubts(doubtful, measured)):
            table.add_row(measured, str(number), str(before), str(programs), f"{share:.0%}")
    return table


def build_row_table(found: HeldOut) -> Table:
    """Build a table of every row: what was estimated over what was published."""
    table = Table(title="Estimated over published, held out")
    for heading in ("source", "model", "method", "GPU", "micro-batch", "size", "time", "memory"):
        table.add_column(heading)
    of_memory = {id(error.row): error.ratio for error in found.memory}
    of_time = {id(error.row): error.ratio for error in found.time}
    for row in {id(error.row): error.row for error in [*found.time, *found.memory]}.values():
        request = row.row.request
        ratios = [f"{ratios[id(row)]:.2f}" if id(row) in ratios else "" for ratios in (of_time, of_memory)]
        size = request.sequence_length or request.resolution
        method = f"{row.row.quantization} {row.row.trainer}"
        table.add_row(
            row.row.source, row.run.profile.name, method, row.run.gpu.sku, str(request.micro_batch), str(size), *ratios
        )
    return table

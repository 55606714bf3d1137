"""`broker queues simulate`: a trace of jobs under a policy, here; or what a broker recorded, under what is proposed."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from broker.cli.local.trace_files import load_policy, load_trace
from broker.cli.output import make_console, one_line, write_json, write_lines
from broker.cli.remote.connection import Key, Url
from broker.cli.remote.operations.simulations import simulate_window
from broker.cli.words import say
from broker.scheduling.simulation.csv_trace import CsvColumns, TimeColumn, TimeUnit, read_csv
from broker.scheduling.simulation.measures import Measures, measure_run
from broker.scheduling.simulation.simulate import BeyondCalendar, EstimateKind, Outcome, Setup, simulate
from broker.scheduling.simulation.swf import read_swf
from broker.scheduling.simulation.trace import Trace

MOST_SLOTS = 1_000_000
MOST_LEFT_OUT_TOLD = 20


class TraceFormat(StrEnum):
    SWF = "swf"
    CSV = "csv"


def simulate_queue(
    trace: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The jobs; may be compressed by gzip.")
    ] = None,
    window: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="FROM TO", help="What the broker recorded between two moments (ISO 8601; TO: or now)."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME.FIELD=VALUE",
            help="With --window: what changes of a queue, pool or contract, such as standard.priority=150.",
        ),
    ] = None,
    format_: Annotated[TraceFormat | None, typer.Option("--format", help="Standard Workload Format, or CSV.")] = None,
    slots: Annotated[int | None, typer.Option(min=1, max=MOST_SLOTS, help="GPUs in all.")] = None,
    node_size: Annotated[
        int, typer.Option(min=1, max=MOST_SLOTS, help="GPUs of a node; 1: any GPU goes with any other.")
    ] = 8,
    estimates: Annotated[
        EstimateKind | None,
        typer.Option(help="Run times as users asked, as they were, or learned. Default: user, where the trace has it."),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Who goes first (YAML or JSON). Default: today's planner.")
    ] = None,
    submit_column: Annotated[str, typer.Option(help="CSV: when a job came.")] = "submit_time",
    submit_unit: Annotated[TimeUnit, typer.Option()] = TimeUnit.SECONDS,
    duration_column: Annotated[str, typer.Option(help="CSV: how long it ran.")] = "duration",
    duration_unit: Annotated[TimeUnit, typer.Option()] = TimeUnit.SECONDS,
    gpus_column: Annotated[str, typer.Option(help="CSV: how many GPUs it took.")] = "num_gpu",
    deadline_column: Annotated[
        str | None, typer.Option(help="CSV: when it had to be done, on the submit clock.")
    ] = None,
    deadline_unit: Annotated[TimeUnit | None, typer.Option(help="Default: as --submit-unit.")] = None,
    asked_column: Annotated[str | None, typer.Option(help="CSV: how long its user said that it would run.")] = None,
    asked_unit: Annotated[TimeUnit | None, typer.Option(help="Default: as --duration-unit.")] = None,
    owner_column: Annotated[str | None, typer.Option(help="CSV: whose it is: a contract, a user.")] = None,
    kind_column: Annotated[str | None, typer.Option(help="CSV: what it trains.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The measures as one JSON object.")] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Replay a trace of jobs under a policy; or a recorded window under what is proposed: today beside it.

    A trace (--trace, --format, --slots) needs no broker. A window (--window, --set) is worked out by the broker, which
    is waited for; nothing is applied.
    """
    if window is not None:
        _check_alone(trace, format_, slots, policy)
        simulate_window(window, changes or [], as_json=as_json, url=url, key=key)
        return
    if changes:
        raise typer.BadParameter(say("needs the window that it is for (--window FROM TO)"), param_hint="--set")
    if trace is None or format_ is None or slots is None:
        lacking = [name for name, value in (("trace", trace), ("format", format_), ("slots", slots)) if value is None]
        hint = f"--{lacking[0]}"
        raise typer.BadParameter(say("is needed, or --window FROM TO for what the broker recorded"), param_hint=hint)
    columns = CsvColumns(
        submit=TimeColumn(submit_column, submit_unit),
        duration=TimeColumn(duration_column, duration_unit),
        gpus=gpus_column,
        deadline=_name_column("deadline", deadline_column, deadline_unit, submit_unit),
        asked=_name_column("asked", asked_column, asked_unit, duration_unit),
        owner=owner_column,
        kind=kind_column,
    )
    settings = load_policy(policy)
    loaded = load_trace(trace, _choose_reader(format_, columns))
    setup = Setup(slots, node_size, settings, choose_estimates(loaded, estimates))
    _replay(trace, loaded, setup, as_json=as_json)


def _replay(trace: Path, loaded: Trace, setup: Setup, *, as_json: bool) -> None:
    """Replay the jobs of a trace and tell the measures. Raises: typer.BadParameter, where none of it can be told."""
    try:
        outcome = simulate(loaded.jobs, setup)
    except BeyondCalendar as error:
        raise typer.BadParameter(f"{trace}: {error}", param_hint="--trace") from error
    tell_left_out(loaded, outcome, setup.total_gpus)
    if not outcome.ended:
        raise typer.BadParameter(say("every job is larger than the cluster; raise it"), param_hint="--slots")
    write_measures(measure_run(outcome.ended, setup.total_gpus), as_json=as_json)


def _check_alone(*of_traces: object) -> None:
    """Check that nothing of a trace is said. Raises: typer.BadParameter."""
    if any(value is not None for value in of_traces):
        raise typer.BadParameter(
            say("the broker's own record needs no trace, format, slots or policy; leave those out"),
            param_hint="--window",
        )


def _name_column(option: str, name: str | None, unit: TimeUnit | None, usual: TimeUnit) -> TimeColumn | None:
    if name is None and unit is not None:
        raise typer.BadParameter(
            say("needs the column that it is of (--{option}-column)", option=option), param_hint=f"--{option}-unit"
        )
    return None if name is None else TimeColumn(name, unit or usual)


def _choose_reader(format_: TraceFormat, columns: CsvColumns) -> Callable[[Iterator[str]], Trace]:
    if format_ is TraceFormat.CSV:
        return lambda lines: read_csv(lines, columns)
    if columns != CsvColumns():
        raise typer.BadParameter(
            say("swf has columns and units of its own; leave those options out"), param_hint="--format"
        )
    return read_swf


def choose_estimates(trace: Trace, asked: EstimateKind | None) -> EstimateKind:
    """Choose where estimates come from: users, if the trace knows what they said, else the true run times.

    Raises: typer.BadParameter, where those of users are asked for, and the trace has none.
    """
    known = any(job.asked_seconds is not None for job in trace.jobs)
    if asked is EstimateKind.USER and not known:
        raise typer.BadParameter(
            say("the trace does not tell what users asked for: name its column (--asked-column), or say perfect"),
            param_hint="--estimates",
        )
    return asked or (EstimateKind.USER if known else EstimateKind.PERFECT)


def tell_left_out(trace: Trace, outcome: Outcome, slots: int) -> None:
    """Tell, on standard error, which lines and jobs were left out, and why."""
    told = [say("line {number} is left out: {fault}", number=line.number, fault=line.fault) for line in trace.broken]
    told += [
        say(
            "job {job} is left out: it needs {gpus} GPUs, more than fit on an idle cluster of {slots} (--slots)",
            job=job.job_id,
            gpus=job.gpus,
            slots=slots,
        )
        for job in outcome.too_large
    ]
    more = len(told) - MOST_LEFT_OUT_TOLD
    shown = told[:MOST_LEFT_OUT_TOLD] + ([say("and {count} more", count=more)] if more > 0 else [])
    write_lines(make_console(stderr=True), [Text(one_line(line)) for line in shown])


def write_measures(measures: Measures, *, as_json: bool) -> None:
    if as_json:
        write_json(asdict(measures))
        return
    width = max(len(field.name) for field in fields(measures))
    lines = [f"{name:{width}}  {_show(value)}" for name, value in asdict(measures).items()]
    write_lines(make_console(), [Text(line) for line in lines])


def _show(value: Any) -> str:
    if value is None:
        return say("no job has one")
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"

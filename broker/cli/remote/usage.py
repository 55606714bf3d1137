"""`broker usage`: what was used, added up, and the events under it as a file."""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import typer

from broker.cli.output import one_line, write_answer
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import write_table
from broker.cli.texts.columns import Column
from broker.cli.words import say

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Usage: added up, and exported.")

GroupBy = Annotated[
    list[str] | None,
    typer.Option(
        "--group-by",
        help="customer, contract, project, job, source, gpu_type, meter, label:NAME, hour, day or month; repeat it.",
    ),
]
FROM = typer.Option("--from", metavar="TIME", help="The first moment, as 2026-11-01T00:00:00Z.")
TO = typer.Option("--to", metavar="TIME", help="The moment after the last one.")
SUMS = (Column("GPU-hours", right=True), Column("tokens", right=True), Column("events", right=True))


@app.command("show")
def show_usage(
    group_by: GroupBy = None,
    since: Annotated[str | None, FROM] = None,
    until: Annotated[str | None, TO] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="NAME=VALUE", help="Only usage with this label.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Add up usage by groups; without times, of the month under way."""
    groups = group_by or ["day"]
    window = {name: value for name, value in (("from", since), ("to", until)) if value is not None}
    with connect(url, key) as client:
        found = client.get("/usage", group_by=groups, limit=1000, label=label, **window)

    def make_row(sums: dict[str, Any]) -> list[str]:
        return [*(one_line(sums["group"][name] or "-") for name in groups), sums["gpu_hours"], *_count(sums)]

    write_table(found, [*map(Column, groups), *SUMS], make_row, as_json=as_json)


def _count(group: dict[str, int | None]) -> list[str]:
    return ["-" if count is None else f"{count:,}" for count in (group["tokens"], group["events"])]


@app.command("export")
def export_usage(
    since: Annotated[str, FROM],
    until: Annotated[str, TO],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; one that is there is replaced.")],
    as_format: Annotated[Literal["jsonl", "csv"], typer.Option("--format", help="jsonl or csv.")] = "jsonl",
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Export the usage events of a window, one a line, in the order in which the usage ended."""
    query = urlencode({"from": since, "to": until, "format": as_format})
    with connect(url, key) as client:
        written = client.download(f"/usage-events/export?{query}", output)
    write_answer({"path": str(written)}, say("{path} is written.", path=written), as_json=as_json)

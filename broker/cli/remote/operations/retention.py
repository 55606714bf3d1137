"""`broker retention`: how long what is kept, set by ops, and what a sweep by other rules would remove."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from broker.cli.output import make_console, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.texts.columns import Column, make_table
from broker.cli.texts.values import DASH
from broker.cli.words import say

app = typer.Typer(no_args_is_help=True, add_completion=False, help="How long what is kept: show, preview, set.")

RULES = (Column("rule"), Column("value", right=True), Column("setting", right=True), Column("set by"))
REMOVED = (Column("kind"), Column("count", right=True), Column("bytes", right=True))
Changes = Annotated[
    list[str], typer.Argument(metavar="RULE=NUMBER", help="A rule and its number; RULE=default: the setting again.")
]


@app.command("show")
def show_retention(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show how long what is kept."""
    with connect(url, key) as client:
        _write_rules(client.get("/retention"), as_json=as_json)


@app.command("preview")
def preview_retention(
    changes: Annotated[list[str] | None, typer.Argument(metavar="RULE=NUMBER", help="Rules to try.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show what the next sweep would remove, by the rules as they are or by others; nothing is removed."""
    with connect(url, key) as client:
        foreseen = client.post("/retention/preview", _read_changes(changes or []))
    _write(foreseen, REMOVED, [_make_row(each) for each in foreseen["removed"]], as_json=as_json)


@app.command("set")
def set_retention(changes: Changes, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Set rules, for the next sweep on; try them by `preview` first."""
    with connect(url, key) as client:
        _write_rules(client.patch("/retention", _read_changes(changes)), as_json=as_json)


def _read_changes(changes: list[str]) -> dict[str, float | None]:
    """Read rules with their numbers. Raises: typer.BadParameter."""
    read: dict[str, float | None] = {}
    for change in changes:
        name, _, value = change.partition("=")
        try:
            read[name] = None if value == "default" else float(value)
        except ValueError as error:
            raise typer.BadParameter(
                say("{change} is no RULE=NUMBER, such as kept_checkpoints=2", change=repr(change))
            ) from error
    return read


def _write_rules(retention: dict[str, Any], *, as_json: bool) -> None:
    rows = [
        [rule["name"], f"{rule['value']:g}", f"{rule['setting']:g}", rule["changed_by"] or DASH]
        for rule in retention["rules"]
    ]
    _write(retention, RULES, rows, as_json=as_json)


def _write(answer: dict[str, Any], columns: Sequence[Column], rows: list[list[str]], *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
    else:
        write_lines(make_console(), make_table(columns, rows))


def _make_row(removed: dict[str, Any]) -> list[str]:
    count = f"{removed['count']}{'+' if removed['is_more'] else ''}"
    return [removed["kind"], count, str(removed["size_bytes"])]

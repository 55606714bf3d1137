"""`broker audit`: what staff decided, and taking it back."""

from typing import Annotated

import typer

from broker.cli.output import make_console, one_line, write_json
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import write_table_with_notes
from broker.cli.texts.columns import Column
from broker.cli.texts.values import DASH
from broker.cli.words import say
from broker.client.objects.operations import AuditEntry

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Decisions of staff: list, undo.")

COLUMNS = (Column("entry"), Column("when"), Column("who"), Column("what"), Column("object"))


@app.command("list")
def list_decisions(
    of: Annotated[str | None, typer.Option("--object", help="Only about this object: a queue, pool, job.")] = None,
    search: Annotated[str | None, typer.Option("--search", help="Only with this in what was sent or changed.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="Only by this API key, by its id.")] = None,
    customer: Annotated[str | None, typer.Option("--customer", help="Only what concerns this customer.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Only from then on: 2026-11-24T00:00:00Z.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many of the latest.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List what staff decided, the newest first; below each what it changed, where that can be undone."""
    with connect(url, key) as client:
        wanted = {"object_id": of, "text": search, "actor_id": by, "customer_id": customer, "since": since}
        page = client.list_audit(**wanted, limit=limit)
    write_table_with_notes(page, COLUMNS, _make_row, _make_note, as_json=as_json)


def _make_row(entry: AuditEntry) -> list[str]:
    who = f"{entry['actor_role']} {entry['actor_id']}"
    return [entry["id"], entry["created_at"][:19], who, entry["action"], one_line(entry["object_id"] or DASH)]


def _make_note(entry: AuditEntry) -> str:
    changed = entry["changed"]
    if changed is None:
        return ""
    before, after = changed["before"], changed["after"]
    told = one_line(", ".join(f"{name}: {before[name]} → {after[name]}" for name in after))
    return say("{told} (undoes {undoes})", told=told, undoes=entry["undoes"]) if entry["undoes"] else told


@app.command("undo")
def undo_decision(
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="The entry of the decision, as `audit list` shows it.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Put back what a decision changed of a queue, a pool, a quota or a priority, where nobody has changed it since."""
    with connect(url, key) as client:
        undone = client.undo_decision(entry)
    if as_json:
        write_json(undone)
        return
    told = one_line(
        ", ".join(say("{name} is {value} again", name=name, value=value) for name, value in undone["after"].items())
    )
    make_console().print(f"{undone['kind']} {undone['id']}: {told}.", soft_wrap=True)

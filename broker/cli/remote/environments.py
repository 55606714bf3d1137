"""`broker environments`: the servers that serve what a stage has."""

import json
from typing import Annotated, Any, cast

import typer

from broker.cli.output import make_console, one_line, write_answer, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table_with_notes
from broker.cli.texts.columns import Column, make_card
from broker.cli.texts.values import DASH
from broker.cli.words import say
from broker.client.objects.promotions import Environment, EnvironmentPush, NewEnvironment
from broker.client.typed import BrokerClient

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Environments, which serve what a stage has: list, create, show, change, push, remove.",
)

ENVIRONMENTS = (Column("environment"), Column("name"), Column("stage"), Column("kind"), Column("status"), Column("url"))
PUSHES = (Column("name"), Column("served as"), Column("wants"), Column("state"), Column("tries", right=True))
Which = Annotated[str, typer.Argument(metavar="ENVIRONMENT", help="Its id, the beginning of that, or its name.")]
TokenFrom = Annotated[
    str | None,
    typer.Option("--token", envvar="BROKER_ENVIRONMENT_TOKEN", help="What authenticates the broker there."),
]


def find_environment(client: BrokerClient, typed: str) -> Environment:
    """Find an environment by its id, the beginning of that, or its name. Raises: typer.BadParameter."""
    everyone: list[Environment] = list(client.list_all("/environments"))
    named = [each for each in everyone if each["name"] == typed]
    found = named or [each for each in everyone if typed and each["id"].startswith(typed)]
    if len(found) != 1:
        told = (
            say("no environment is {typed}", typed=repr(typed))
            if not found
            else say("{typed} is several: name one by its id", typed=repr(typed))
        )
        raise typer.BadParameter(told, param_hint="ENVIRONMENT")
    return found[0]


@app.command("list")
def list_environments(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List environments, the newest first: one's own, and those of the house."""
    with connect(url, key) as client:
        page = collect_page(client.list_all("/environments"))
    write_table_with_notes(page, ENVIRONMENTS, _make_row, lambda row: one_line(row["error"] or ""), as_json=as_json)


def _make_row(row: Environment) -> list[str]:
    return [row["id"], one_line(row["name"]), row["stage"], row["kind"], row["status"], row["url"] or DASH]


@app.command("create")
def create_environment(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    address: Annotated[str, typer.Argument(metavar="URL", help="Where the server is, without /v1.")],
    stage: Annotated[str, typer.Option("--stage", metavar="STAGE", help="test or production.")],
    kind: Annotated[
        str, typer.Option("--kind", help="trainer_serve, vllm, http (with --options), or webhook.")
    ] = "trainer_serve",
    token: TokenFrom = None,
    serves_as: Annotated[
        str | None, typer.Option("--serves-as", help="name (swapped in place), version, or id.")
    ] = None,
    options: Annotated[
        str | None, typer.Option("--options", metavar="JSON", help="What its kind is told besides.")
    ] = None,
    project: Annotated[str | None, typer.Option("--project", help="Only the adapters of this project: its id.")] = None,
    customer: Annotated[
        str | None, typer.Option("--customer", help="Whose; with a staff key none: of all customers.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Name a server that serves what a stage has; what is there is pushed to it at once."""
    body: dict[str, Any] = {"name": name, "url": address, "stage": stage, "kind": kind, "token": token}
    body |= {"serves_as": serves_as, "project_id": project, "customer_id": customer}
    body |= {"options": None if options is None else _read_json(options)}
    with connect(url, key) as client:
        made = client.post("/environments", {name: value for name, value in body.items() if value is not None})
    _show(cast("NewEnvironment", made), as_json=as_json)


def _read_json(typed: str) -> Any:
    try:
        return json.loads(typed)
    except ValueError as error:
        raise typer.BadParameter(say("is no JSON: {error}", error=error), param_hint="--options") from error


@app.command("show")
def show_environment(environment: Which, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show an environment, whether it answers, and what it is to serve."""
    with connect(url, key) as client:
        found = find_environment(client, environment)
        pushes = collect_page(client.list_all(f"/environments/{found['id']}/pushes"))
    if as_json:
        write_json({**found, "pushes": pushes["data"]})
        return
    _show(found, as_json=False)
    write_table_with_notes(pushes, PUSHES, _make_push_row, lambda row: one_line(row["error"] or ""), as_json=False)


def _make_push_row(row: EnvironmentPush) -> list[str]:
    wanted = row["adapter_id"] or say("nothing")
    return [one_line(row["name"]), one_line(row["served_as"] or DASH), wanted, row["state"], str(row["attempts"])]


@app.command("change")
def change_environment(
    environment: Which,
    name: Annotated[str | None, typer.Option("--name", help="What it is called.")] = None,
    address: Annotated[str | None, typer.Option("--to", metavar="URL", help="Where it is.")] = None,
    token: TokenFrom = None,
    enable: Annotated[bool | None, typer.Option("--enable/--disable", help="Whether it is pushed to.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Change where a server is or what authenticates the broker there, or switch it off or on."""
    status = None if enable is None else "enabled" if enable else "disabled"
    changes = {"name": name, "url": address, "token": token, "status": status}
    with connect(url, key) as client:
        found = find_environment(client, environment)
        told = {name: value for name, value in changes.items() if value is not None}
        changed = client.patch(f"/environments/{found['id']}", told)
    _show(cast("Environment", changed), as_json=as_json)


@app.command("push")
def push_environment(environment: Which, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Push all that a server is to serve once more."""
    with connect(url, key) as client:
        found = find_environment(client, environment)
        pushed = client.post(f"/environments/{found['id']}/push")
    write_answer(
        pushed,
        say("{pushes} adapters are pushed to {name} again.", pushes=pushed["pushes"], name=one_line(found["name"])),
        as_json=as_json,
    )


@app.command("remove")
def remove_environment(environment: Which, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Push to a server nothing more, and forget its token; what it serves it keeps."""
    with connect(url, key) as client:
        removed = client.delete(f"/environments/{find_environment(client, environment)['id']}")
    write_answer(removed, say("{name} is removed.", name=removed["id"]), as_json=as_json)


def _show(row: Environment | NewEnvironment, *, as_json: bool) -> None:
    if as_json:
        write_json(row)
        return
    console, secret = make_console(), row.get("secret")
    rows = [
        ("Environment", row["id"]),
        ("Name", one_line(row["name"])),
        ("Serves", say("what {stage} has, as {serves_as}", stage=row["stage"], serves_as=row["serves_as"])),
        ("Kind", row["kind"]),
        ("URL", row["url"] or ""),
        ("Secret", say("{secret} (shown this once)", secret=secret) if secret else ""),
        ("Status", row["status"]),
        ("Answered", row["answered_at"] or ""),
        ("Error", one_line(row["error"] or "")),
    ]
    write_lines(console, make_card(rows, console.width))

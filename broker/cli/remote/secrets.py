"""`broker secrets`: addresses and keys of a customer's own trackers, which jobs name. A key is never shown."""

import sys
from typing import Annotated, Any, Literal

import typer

from broker.cli.output import write_answer
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.remote.projects import find_project
from broker.cli.texts.columns import Column
from broker.cli.texts.values import DASH
from broker.cli.words import say
from broker.client.typed import BrokerClient

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Keys of your own trackers: list, set, rotate, remove."
)

COLUMNS = (
    Column("secret"),
    Column("kind"),
    Column("used last"),
    Column("rotated"),
    Column("id"),
    Column("url"),
)
MeantSecret = Annotated[str, typer.Argument(metavar="SECRET", help="The secret, by name or id.")]
KeyFile = Annotated[
    typer.FileText | None,
    typer.Option("--key-file", help="File with the key; default: it is asked for, or read from standard input."),
]
Place = Annotated[str | None, typer.Option("--to", metavar="URL", help="Where the tracker is: https://….")]
Username = Annotated[str | None, typer.Option("--username", help="Of MLflow's basic authentication.")]


@app.command("list")
def list_secrets(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List secrets, the newest first, without their keys."""
    with connect(url, key) as client:
        page = collect_page(client.list_all("/secrets"))
    write_table(page, COLUMNS, _make_row, as_json=as_json)


def _make_row(secret: dict[str, Any]) -> list[str]:
    used, rotated = (secret["last_used_at"] or say("never"))[:16], (secret["rotated_at"] or DASH)[:16]
    return [secret["name"], secret["kind"], used, rotated, secret["id"], secret["url"] or DASH]


@app.command("set")
def set_secret(
    name: Annotated[str, typer.Argument(help="Its name, which jobs say.")],
    kind: Annotated[Literal["mlflow", "wandb", "swanlab"], typer.Option("--kind", help="What it opens.")],
    place: Place = None,
    username: Username = None,
    project: Annotated[str | None, typer.Option(help="For jobs of this project alone: its name or id.")] = None,
    customer: Annotated[str | None, typer.Option(help="Whose it is; needed with a staff key only.")] = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Keep the key of a tracker of yours, sealed; jobs name it: broker submit --tracker NAME."""
    told = read_key(key_file)
    with connect(url, key) as client:
        project_id = None if project is None else find_project(client, project, customer)
        own = {"project_id": project_id, "customer_id": customer, "url": place, "username": username}
        given = {each: value for each, value in own.items() if value is not None}
        made = client.post("/secrets", {"name": name, "kind": kind, "key": told, **given})
    write_answer(made, say("{name} is kept ({secret}).", name=made["name"], secret=made["id"]), as_json=as_json)


@app.command("rotate")
def rotate_secret(
    secret: MeantSecret,
    place: Place = None,
    username: Username = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Put another key under the same name; runs under way keep what they were given."""
    changes = {"key": read_key(key_file), "url": place, "username": username}
    with connect(url, key) as client:
        path = f"/secrets/{find_secret(client, secret)['id']}"
        changed = client.patch(path, {each: value for each, value in changes.items() if value is not None})
    told = say("{name} has another key; runs under way keep theirs.", name=changed["name"])
    write_answer(changed, told, as_json=as_json)


@app.command("remove")
def remove_secret(secret: MeantSecret, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Forget a secret; runs that begin from now on tell its tracker nothing."""
    with connect(url, key) as client:
        removed = client.delete(f"/secrets/{find_secret(client, secret)['id']}")
    write_answer(removed, say("{name} is removed.", name=removed["name"]), as_json=as_json)


def read_key(file: typer.FileText | None) -> str:
    """Read a key from a file, from a person who does not see it, or from standard input: never from the command line,
    which other programs of the machine can read.
    """
    if file is not None:
        return file.read().strip()
    if sys.stdin.isatty():
        return str(typer.prompt(say("Key"), hide_input=True, err=True)).strip()
    return sys.stdin.read().strip()


def find_secret(client: BrokerClient, typed: str) -> dict[str, Any]:
    """Find a secret by its name or id. Raises: typer.BadParameter."""
    found: list[dict[str, Any]] = [each for each in client.list_all("/secrets") if typed in {each["name"], each["id"]}]
    if len(found) != 1:
        told = (
            say("no secret is {typed}", typed=repr(typed))
            if not found
            else say("{typed} is several: name one by its id", typed=repr(typed))
        )
        raise typer.BadParameter(told, param_hint="SECRET")
    return found[0]

"""`broker login`, `logout` and `whoami`: the key, and whose it is."""

import sys
from typing import Annotated

import typer

from broker.cli.output import make_console, one_line, write_answer, write_json, write_lines
from broker.cli.remote.connection import DEFAULT_URL, AsJson, Connection, Key, Url, find_connection
from broker.cli.texts.columns import make_card
from broker.cli.words import say
from broker.client.objects.contracts import Identity
from broker.client_file import FILE_NAME, user_folder, write_client_file


def login(
    url: Annotated[str, typer.Option("--url", envvar="BROKER_URL", help="The broker's address.")] = DEFAULT_URL,
    key: Annotated[str | None, typer.Option("--api-key", "--key", help="The key; asked for if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Keep an address and a key for further commands, once the broker has accepted them."""
    if key is None and not sys.stdin.isatty():
        key = sys.stdin.readline().strip()
    connection = Connection(url, key or typer.prompt(say("API key"), hide_input=True, err=True), "what was typed")
    with connection.open() as client:
        identity = client.whoami()
    path = write_client_file(user_folder(), url=connection.url, api_key=connection.api_key)
    told = say("{who} at {url}; kept in {path}", who=_describe(identity), url=url, path=path)
    write_answer({**identity, "url": url, "path": str(path)}, told, as_json=as_json)


def logout(as_json: AsJson = False) -> None:
    """Forget the address and the key that `broker login` has kept; the key itself stays valid."""
    path = user_folder() / FILE_NAME
    was_there = path.exists()
    path.unlink(missing_ok=True)
    told = say("{path} is removed.", path=path) if was_there else say("No key was kept.")
    write_answer({"path": str(path), "was_there": was_there}, told, as_json=as_json)


def whoami(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Say which broker answers, whose key is used, and where the key is from."""
    connection = find_connection(url, key)
    with connection.open() as client:
        identity = client.whoami()
    if as_json:
        write_json(identity)
        return
    kept = identity["api_key"]
    console = make_console()
    rows = [
        ("You are", _describe(identity)),
        ("Broker", say("{url}, release {version}", url=connection.url, version=identity["version"])),
        (
            "Key",
            say(
                "{prefix}…, {name}, from {source}",
                prefix=kept["prefix"],
                name=one_line(kept["name"]),
                source=connection.source,
            ),
        ),
        ("Until", kept["expires_at"] or ""),
    ]
    write_lines(console, make_card(rows, console.width))


def _describe(identity: Identity) -> str:
    customer = identity["customer"]
    return (
        f"{one_line(customer['name'])} ({customer['id']})"
        if customer
        else say("staff, role {role}", role=identity["role"])
    )

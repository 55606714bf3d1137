"""`broker adapters`: what jobs have made."""

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from broker.cli.failures import CommandFailed
from broker.cli.output import (
    DeleteAtOnce,
    ask,
    make_console,
    one_line,
    tell_gone,
    write_answer,
    write_json,
    write_lines,
)
from broker.cli.remote.completing import complete_ids
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.remote.projects import find_project
from broker.cli.remote.transfers import showing_bytes
from broker.cli.texts.columns import Column, make_card
from broker.cli.texts.job_words import describe_settings
from broker.cli.texts.values import describe_ago, describe_size
from broker.cli.words import say
from broker.client.errors import NotThere
from broker.client.objects.jobs import Adapter
from broker.client.typed import BrokerClient

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Adapters: list, show, pull, download, delete.")

AdapterId = Annotated[
    str,
    typer.Argument(
        metavar="ADAPTER", help="The adapter's id, or the beginning of it.", autocompletion=complete_ids("ada")
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="File or folder to write to; default: its name, here.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
COLUMNS = (Column("adapter"), Column("name"), Column("made", right=True), Column("size", right=True))
LONGEST_FILE_NAME = 100
# The names by which peft finds both.
WEIGHTS_NAME, CONFIG_NAME = "adapter_model.safetensors", "adapter_config.json"


@app.command("list")
def list_adapters(
    project: Annotated[str | None, typer.Option("--project", help="Only of this project: its name or id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many of the latest.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the latest adapters."""
    with connect(url, key) as client:
        project_id = None if project is None else find_project(client, project)
        page = client.list_adapters(limit=limit, project_id=project_id)
    write_table(page, COLUMNS, _make_row, as_json=as_json)


def _make_row(adapter: Adapter) -> list[str]:
    made = describe_ago(adapter["created_at"], datetime.now(UTC))
    return [adapter["id"], name_version(adapter), made, describe_size(adapter["size_bytes"])]


@app.command("show")
def show_adapter(adapter_id: AdapterId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show one adapter: what it was trained from, and how."""
    with connect(url, key) as client:
        adapter = client.get_adapter(resolve_id(client, "ada", adapter_id))
    if as_json:
        write_json(adapter)
        return
    console = make_console()
    rows = [
        ("Name", name_version(adapter)),
        ("Made", describe_ago(adapter["created_at"], datetime.now(UTC))),
        ("By job", adapter["job_id"]),
        ("Project", adapter["project_id"] or ""),
        ("Model", adapter["base_model"]),
        ("Settings", describe_settings(adapter["config"])),
        ("Size", describe_size(adapter["size_bytes"])),
        ("SHA-256", adapter["sha256"]),
        ("Download", f"broker adapters download {adapter['id']}"),
    ]
    console.print(adapter["id"])
    write_lines(console, make_card(rows, console.width))


@app.command("download")
def download_adapter(
    adapter_id: AdapterId,
    output: Output = None,
    force: Force = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Download an adapter as one .safetensors file."""
    with connect(url, key) as client:
        fetch_adapter(client, resolve_id(client, "ada", adapter_id), output, force=force, as_json=as_json)


@app.command("pull")
def pull_adapters(
    adapters: Annotated[
        list[str], typer.Argument(metavar="ADAPTER...", help="Ids, or names: cyberpunk for the newest, cyberpunk_v3.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where to; each gets a folder of its own in it.")
    ] = Path(),
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Pull adapters into folders that peft loads; what is there already is not sent again."""
    console = make_console(stderr=as_json)
    with connect(url, key) as client:
        pulled = [_pull(client, find_adapter(client, typed), output, console) for typed in adapters]
    if as_json:
        write_json(collect_page(pulled))


def find_adapter(client: BrokerClient, typed: str) -> Adapter:
    """Find an adapter by its id, its name (the newest version), or its name with a version, as in `cyberpunk_v3`.

    Raises: typer.BadParameter, where there is none; ApiError, NotReachable.
    """
    newest = client.list_adapters(name=typed, limit=1)["data"]
    if newest:
        return newest[0]
    return find_version(client, typed)


def find_version(client: BrokerClient, typed: str) -> Adapter:
    """Find an adapter by its id, the beginning of that, or its name and version. Raises: typer.BadParameter."""
    named = re.fullmatch(r"(.+)_v(\d{1,9})", typed.strip())
    if named is None:
        try:
            return client.get_adapter(resolve_id(client, "ada", typed))
        except NotThere:
            if typed.startswith("ada_"):
                raise
    else:
        for each in client.iterate(client.list_adapters, name=named[1]):
            if each["version"] == int(named[2]):
                return each
    told = say("there is no adapter {typed}; `broker adapters list` shows yours", typed=typed)
    raise typer.BadParameter(told, param_hint="ADAPTER")


def _pull(client: BrokerClient, adapter: Adapter, output: Path, console: Console) -> dict[str, Any]:
    """Write an adapter's weights and configuration into its folder, unless the same weights are there."""
    folder = output / choose_target(adapter, None).stem
    weights = folder / WEIGHTS_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_there = weights.exists() and _hash_file(weights) == adapter["sha256"]
        if not is_there:
            with showing_bytes(console, name_version(adapter)) as progress:
                client.download_adapter(adapter["id"], weights, progress=progress)
        _write_config(client, adapter, folder)
    except OSError as error:
        raise CommandFailed(say("{path} cannot be written: {why}", path=folder, why=error.strerror or error)) from error
    size = describe_size(adapter["size_bytes"])
    told = "{folder}  {name}, {size}, was there" if is_there else "{folder}  {name}, {size}"
    console.print(say(told, folder=folder, name=name_version(adapter), size=size), soft_wrap=True)
    return {"path": str(folder), "was_there": is_there, **adapter}


def _write_config(client: BrokerClient, adapter: Adapter, folder: Path) -> None:
    """Write peft's configuration beside the weights, where these tell one."""
    try:
        config = client.get_adapter_config(adapter["id"])
    except NotThere:
        return
    text = json.dumps(config, ensure_ascii=False, indent=2)
    (folder / CONFIG_NAME).write_text(f"{text}\n", encoding="utf-8")


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@app.command("delete")
def delete_adapter(
    adapter_id: AdapterId,
    yes: DeleteAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Delete an adapter and its file; its job, usage and invoices stay."""
    with connect(url, key) as client:
        adapter = client.get_adapter(resolve_id(client, "ada", adapter_id))
        ask(say("Delete {id}, {name}, for good?", id=adapter["id"], name=name_version(adapter)), yes=yes)
        client.delete_adapter(adapter["id"])
    write_answer(tell_gone(adapter["id"]), say("{id} is deleted.", id=adapter["id"]), as_json=as_json)


def fetch_adapter(client: BrokerClient, adapter_id: str, output: Path | None, *, force: bool, as_json: bool) -> None:
    """Write an adapter's file and say where it is.

    Raises: typer.BadParameter, where a file is there; CommandFailed, where it cannot be written; ApiError, ClientError.
    """
    adapter = client.get_adapter(adapter_id)
    target = choose_target(adapter, output)
    if target.exists() and not force:
        raise typer.BadParameter(
            say("{target} is there; add --force to replace it", target=target), param_hint="--output"
        )
    try:
        with showing_bytes(make_console(stderr=as_json), name_version(adapter)) as progress:
            client.download_adapter(adapter["id"], target, progress=progress)
    except OSError as error:
        raise CommandFailed(say("{path} cannot be written: {why}", path=target, why=error.strerror or error)) from error
    told = f"{target}  {name_version(adapter)}, {describe_size(adapter['size_bytes'])}"
    write_answer({"path": str(target), **adapter}, told, as_json=as_json)


def choose_target(adapter: Adapter, output: Path | None) -> Path:
    """Choose the file to write: the one that is named, or one by the adapter's name in the folder."""
    if output is not None and not output.is_dir():
        return output
    safe = re.sub(r"[^\w.-]+", "_", adapter["name"]).strip("._")[:LONGEST_FILE_NAME] or "adapter"
    return (output or Path()) / f"{safe}_v{adapter['version']}.safetensors"


def name_version(adapter: Adapter) -> str:
    """Name an adapter with its version."""
    return f"{one_line(adapter['name'])} v{adapter['version']}"

"""`broker adapters`: what jobs have made."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from broker.cli.failures import CommandFailed
from broker.cli.output import DeleteAtOnce, ask, make_console, one_line, write_answer, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.lists import write_table
from broker.cli.remote.projects import find_project
from broker.cli.texts.columns import Column, make_card
from broker.cli.texts.job_words import describe_settings
from broker.cli.texts.values import describe_ago, describe_size
from broker.client.objects.jobs import Adapter
from broker.client.typed import BrokerClient

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Adapters: list, show, download, delete.")

AdapterId = Annotated[str, typer.Argument(metavar="ADAPTER", help="The adapter's id, or the beginning of it.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="File or folder to write to; default: its name, here.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
COLUMNS = (Column("adapter"), Column("name"), Column("made", right=True), Column("size", right=True))
LONGEST_FILE_NAME = 100


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


@app.command("delete")
def delete_adapter(
    adapter_id: AdapterId,
    yes: DeleteAtOnce = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Delete an adapter and its file; its job, usage and invoices stay."""
    with connect(url, key) as client:
        adapter = client.get_adapter(resolve_id(client, "ada", adapter_id))
        ask(f"Delete {adapter['id']}, {name_version(adapter)}, for good?", yes=yes)
        client.delete_adapter(adapter["id"])
    make_console().print(f"{adapter['id']} is deleted.", soft_wrap=True)


def fetch_adapter(client: BrokerClient, adapter_id: str, output: Path | None, *, force: bool, as_json: bool) -> None:
    """Write an adapter's file and say where it is.

    Raises: typer.BadParameter, where a file is there; CommandFailed, where it cannot be written; ApiError, ClientError.
    """
    adapter = client.get_adapter(adapter_id)
    target = choose_target(adapter, output)
    if target.exists() and not force:
        raise typer.BadParameter(f"{target} is there; add --force to replace it", param_hint="--output")
    try:
        client.download_adapter(adapter["id"], target)
    except OSError as error:
        raise CommandFailed(f"{target} cannot be written: {error.strerror or error}") from error
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

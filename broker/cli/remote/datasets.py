"""`broker datasets`: uploads and their quality reports."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

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
from broker.cli.remote.captions import check_dataset, edit_captions, label_dataset, list_pictures
from broker.cli.remote.completing import complete_ids
from broker.cli.remote.connection import AsJson, Customer, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.lists import write_table_with_notes
from broker.cli.remote.orders import upload
from broker.cli.texts.columns import Column
from broker.cli.texts.findings import count_errors, make_report
from broker.cli.texts.values import describe_ago
from broker.cli.words import say
from broker.client.objects.quotes import Dataset

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Data sets: upload, list, show, check, label, caption, delete."
)

COLUMNS = (
    Column("data set"),
    Column("kind"),
    Column("rows", right=True),
    Column("errors", right=True),
    Column("uploaded", right=True),
)


@app.command("upload")
def upload_dataset(
    data: Annotated[list[Path], typer.Argument(exists=True, help="Data files, an archive, or a folder with them.")],
    name: Annotated[str | None, typer.Option("--name", help="A name for people; default: the first file's.")] = None,
    customer: Customer = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Upload data as one data set, and show what is wrong with them."""
    with connect(url, key) as client:
        dataset = upload(client, data, name, customer, make_console(stderr=as_json))
    _tell(dataset, as_json=as_json)


@app.command("list")
def list_datasets(
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many of the latest.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the latest data sets."""
    with connect(url, key) as client:
        page = client.list_datasets(limit=limit)
    write_table_with_notes(page, COLUMNS, _make_row, lambda each: one_line(each["name"]), as_json=as_json)


def _make_row(dataset: Dataset) -> list[str]:
    rows, errors = f"{dataset['usable_rows']:,}", str(count_errors(dataset))
    return [dataset["id"], dataset["kind"], rows, errors, describe_ago(dataset["created_at"], datetime.now(UTC))]


app.command("check")(check_dataset)
app.command("label")(label_dataset)
app.command("caption")(edit_captions)
app.command("pictures")(list_pictures)

DatasetId = Annotated[
    str,
    typer.Argument(
        metavar="DATASET", help="The data set's id, or the beginning of it.", autocompletion=complete_ids("dat")
    ),
]


@app.command("show")
def show_dataset(
    dataset_id: DatasetId,
    everything: Annotated[bool, typer.Option("--all", help="Show every finding, not only the first.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show a data set and what is wrong with it."""
    with connect(url, key) as client:
        dataset = client.get_dataset(resolve_id(client, "dat", dataset_id))
    _tell(dataset, as_json=as_json, all_findings=everything)


@app.command("delete")
def delete_dataset(
    dataset_id: DatasetId,
    yes: DeleteAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Delete a data set and its bytes; what was trained on it, and billed, stays."""
    with connect(url, key) as client:
        dataset = client.get_dataset(resolve_id(client, "dat", dataset_id))
        ask(say("Delete {id}, {name}, for good?", id=dataset["id"], name=one_line(dataset["name"])), yes=yes)
        client.delete_dataset(dataset["id"])
    write_answer(tell_gone(dataset["id"]), say("{id} is deleted.", id=dataset["id"]), as_json=as_json)


def _tell(dataset: Dataset, *, as_json: bool, all_findings: bool = False) -> None:
    if as_json:
        write_json(dataset)
        return
    console = make_console()
    write_lines(console, make_report(dataset, console.width, all_findings=all_findings))

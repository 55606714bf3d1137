"""`broker base-models`: what a customer can train on. Operators add and remove models by `broker models`."""

from typing import Annotated, Any

import typer

from broker.cli.output import find_line_width, make_console, one_line
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table_with_notes
from broker.cli.texts.columns import Column

COLUMNS = (Column("base model"), Column("learns from"), Column("parameters", right=True), Column("licence"))


def list_base_models(
    everything: Annotated[bool, typer.Option("--all", help="Those, too, that cannot be quoted here, and why.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the base models that a job can name."""
    with connect(url, key) as client:
        models = collect_page(client.list_all("/base-models", can_be_quoted=None if everything else True))
    width = find_line_width(make_console())
    write_table_with_notes(models, COLUMNS, _make_row, _make_note, width=width, as_json=as_json)


def _make_note(model: dict[str, Any]) -> str:
    return one_line(model["reason"] or "")


def _make_row(model: dict[str, Any]) -> list[str]:
    return [model["name"], model["learns_from"], f"{model['parameters']:,}", one_line(model["licence"])]

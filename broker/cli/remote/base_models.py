"""`broker base-models`: what a customer can train on. Operators add and remove models by `broker models`."""

from typing import Annotated

import typer

from broker.cli.output import cut, find_line_width, make_console, one_line, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.texts.columns import Column, make_table

COLUMNS = (Column("base model"), Column("learns from"), Column("parameters", right=True), Column("licence"))


def list_base_models(
    everything: Annotated[bool, typer.Option("--all", help="Those, too, that cannot be quoted here, and why.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the base models that a job can name."""
    with connect(url, key) as client:
        models = list(client.list_all("/base-models", can_be_quoted=None if everything else True))
    if as_json:
        write_json({"data": models, "next_cursor": None})
        return
    console = make_console()
    rows = [
        [model["name"], model["learns_from"], f"{model['parameters']:,}", one_line(model["licence"])]
        for model in models
    ]
    heading, *lines = make_table(COLUMNS, rows)
    write_lines(console, [heading])
    for model, line in zip(models, lines, strict=True):
        write_lines(console, [cut(line, find_line_width(console))])
        if model["reason"]:
            console.print(f"  {one_line(model['reason'])}", style="dim", soft_wrap=True)

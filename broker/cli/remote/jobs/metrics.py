"""`broker metrics`: the loss of a job by step, as a curve and a table."""

from typing import Annotated

import typer

from broker.cli.output import find_line_width, make_console, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.jobs.options import JobId
from broker.cli.texts.losses import make_loss_lines

MOST_ROWS = 20


def show_metrics(
    job_id: JobId,
    rows: Annotated[
        int, typer.Option("--rows", min=1, max=1000, help="Into so many groups of steps at most.")
    ] = MOST_ROWS,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show the training and validation loss of a job by step."""
    with connect(url, key) as client:
        losses = client.get_losses(resolve_id(client, "job", job_id), buckets=rows)
    if as_json:
        write_json(losses)
        return
    console = make_console()
    write_lines(console, make_loss_lines(losses, find_line_width(console)))

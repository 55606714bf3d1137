"""`broker admin-key`: a way in for who has lost the administrator's key, or let it expire."""

from pathlib import Path
from typing import Annotated

import typer

from broker.cli.local.database import working_on
from broker.cli.local.options import AsJson, DataDir, load_settings
from broker.cli.output import write_json
from broker.cli.words import say
from broker.processes.admin_key import has_working_key, make_key
from broker.work import Work


def admin_key(
    name: Annotated[str, typer.Option(help="What it is called in the list of keys.")] = "made on the machine",
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write it to this file (mode 0600) instead of printing it, this once; unset: print it,"
            " and write DATA_DIR/admin.key where that holds none that works."
        ),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make an administrator's key where the others are lost; needs none."""
    settings = load_settings(data_dir=data_dir)

    async def make(work: Work) -> tuple[str, Path | None]:
        own = settings.admin_key_path
        place = output or (None if await has_working_key(work, own) else own)
        return (await make_key(work, name, write_to=place)).clear, place

    clear, written = working_on(settings, make)
    if written is not None:
        typer.echo(say("written: {written}", written=written), err=True)
    if as_json:
        shown = {"key": None if output else clear, "path": None if written is None else str(written)}
        write_json(shown)
    elif output is None:
        typer.echo(clear)
    typer.echo(say("It does not expire. Revoke a key that is lost: DELETE /v1/api-keys/ID; GET lists them."), err=True)

"""`broker installation`: what all processes on one database share, and how an operator changes it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from broker.cli.local.database import working_on
from broker.cli.local.options import AsJson, DataDir, load_settings
from broker.cli.output import make_console, write_json, write_lines
from broker.cli.texts.columns import make_card
from broker.cli.words import say
from broker.persistence.installation import Installation
from broker.processes.installation import accept_settings, describe_installation, reseal_all
from broker.work import Work

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What all processes on one database share.")


@app.callback()
def installation() -> None:
    """Show or change what all processes on one database share."""


@app.command("show")
def show(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show it, and where this command's own settings differ; exit code 1 if they do."""
    founded, differences = working_on(load_settings(data_dir=data_dir), describe_installation)
    if as_json:
        write_json({**_describe(founded), "differences": differences})
    else:
        _print(founded)
        typer.echo("".join(f"{difference}\n" for difference in differences), nl=False)
    if differences:
        raise typer.Exit(1)


@app.command("accept")
def accept(
    former_secret: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="File with the secret of before: what it sealed, where chats are and what signs webhooks, is sealed"
            " anew. Without it, that is to be named anew.",
        ),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make this command's own secret, storage and public address those of the installation.

    First end every `broker serve` and `broker worker` by SIGTERM, so that their runs save; give all of them the new
    setting; run this once with it; then start them again.
    """
    former = None if former_secret is None else former_secret.read_text().strip().encode()

    async def change(work: Work) -> tuple[Installation, list[str]]:
        founded = await accept_settings(work)
        return founded, [] if former is None else await reseal_all(work, former)

    founded, lost = working_on(load_settings(data_dir=data_dir), change)
    if as_json:
        write_json({**_describe(founded), "not_opened": lost})
    else:
        _print(founded)
    for each in lost:
        typer.echo(
            say("neither secret opens what {each} has: its customer names it, or rotates it, anew", each=each), err=True
        )


def _describe(founded: Installation) -> dict[str, Any]:
    return {
        "id": founded.id,
        "storage_id": founded.storage_id,
        "public_url": founded.public_url,
        "created_at": founded.created_at.isoformat(),
        "changed_at": founded.changed_at.isoformat(),
    }


def _print(founded: Installation) -> None:
    console = make_console()
    rows = [
        ("Installation", say("{id}, since {day}", id=founded.id, day=f"{founded.created_at:%Y-%m-%d}")),
        ("Storage", founded.storage_id),
        ("Public address", founded.public_url or say("not named: each broker that serves uses its own")),
        ("Changed", f"{founded.changed_at:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    write_lines(console, make_card(rows, console.width))

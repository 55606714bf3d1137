"""`broker storage`: where data sets, checkpoints and adapters lie, and how they move."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from broker.cli.local.database import reading_database
from broker.cli.local.options import AsJson, DataDir, load_settings
from broker.cli.output import write_answer
from broker.cli.words import say
from broker.config import Settings
from broker.errors import OperatorError
from broker.retention.moving import CopyReport, copy_storage
from broker.storage_choice import open_storage
from broker.system import open_system

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Where files lie, and how they move.")
MIB = 1024 * 1024


@app.callback()
def storage() -> None:
    """Copy what is stored to another place."""


@app.command("copy")
def copy(
    to: Annotated[str, typer.Option(help="A folder, or s3://bucket/prefix with the BROKER_S3_* settings.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Copy all that is kept to a folder or a bucket, and check every hash; started anew it goes on.

    First copy while the brokers serve. Then end every `broker serve`, copy again what has come since, name the new
    place in BROKER_STORAGE_DIR or BROKER_STORAGE_URL, and start them. The old place stays as it is. Exit code 1: some
    files are not as their rows say; they are named, and the new place is not to be used yet.
    """
    settings = load_settings(data_dir=data_dir)
    with reading_database(settings) as urls:
        report = asyncio.run(_copy(settings, urls.app, to))
    write_answer(asdict(report), _describe(report), as_json=as_json)
    for key in report.faults:
        typer.echo(say("not copied, for its bytes are not those that its row tells: {key}", key=key), err=True)
    if report.faults:
        raise typer.Exit(1)


async def _copy(settings: Settings, database_url: str, to: str) -> CopyReport:
    changed = {"storage_url": to} if to.startswith("s3://") else {"storage_url": None, "storage_dir": Path(to)}
    target = open_storage(Settings.model_validate({**settings.model_dump(), **changed}))
    system = open_system(settings, database_url)
    try:
        return await copy_storage(system, target, lambda report: typer.echo(_describe(report), err=True))
    except OSError as error:
        told = say("{to}: {error}; what was copied stays, and the same command goes on", to=to, error=error)
        raise OperatorError(told) from error
    finally:
        await system.database.close()


def _describe(report: CopyReport) -> str:
    sent = say(
        "{count} files copied ({size} MiB)",
        count=report.copied,
        size=f"{report.copied_bytes / MIB:.1f}",
    )
    return say(
        "{sent}, {before} were there, {count} faults",
        sent=sent,
        before=report.there_before,
        count=len(report.faults),
    )

"""`broker jobs download` and `broker jobs tensorboard`: what a job has made, and what its training told."""

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from broker.cli.failures import CommandFailed
from broker.cli.output import make_console, write_json
from broker.cli.remote.adapters import Force, Output, fetch_adapter
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.jobs.options import JobId
from broker.cli.words import say


def download_adapter_of_job(
    job_id: JobId,
    output: Output = None,
    force: Force = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Download the adapter that a job has made, as one .safetensors file."""
    with connect(url, key) as client:
        job = client.get_job(resolve_id(client, "job", job_id))
        if job["adapter_id"] is None:
            told = say(
                "{id} is {status}; a job has an adapter once it has succeeded", id=job["id"], status=job["status"]
            )
            raise CommandFailed(told, job_id=job["id"], status=job["status"])
        fetch_adapter(client, job["adapter_id"], output, force=force, as_json=as_json)


def fetch_event_files(
    job_id: JobId,
    folder: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where to; a folder of the job's is made in it.")
    ] = Path("runs"),
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Write what a job's training told as event files into a folder, for `tensorboard --logdir`."""
    with connect(url, key) as client, TemporaryDirectory() as aside:
        whole = resolve_id(client, "job", job_id)
        archive = client.download_event_files(whole, Path(aside) / "events.zip")
        with zipfile.ZipFile(archive) as files:
            names = files.namelist()
            files.extractall(folder)
    if not names:
        raise CommandFailed(
            say("the training of {id} has told nothing yet; try again once it has begun", id=whole), job_id=whole
        )
    if as_json:
        write_json({"job_id": whole, "folder": str(folder), "files": names})
    else:
        make_console().print(say("See it with: tensorboard --logdir {folder}", folder=folder / whole), soft_wrap=True)

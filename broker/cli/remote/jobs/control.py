"""`broker jobs cancel`, `pause`, `resume` and `set`."""

from typing import Annotated

import typer

from broker.cli.output import make_console, write_json
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.jobs.options import JobId
from broker.cli.texts.job_words import STOPS
from broker.client.objects import Job


def cancel_job(job_id: JobId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Cancel a job; what it has used is billed, the rest of its hold is released."""
    with connect(url, key) as client:
        _tell(client.cancel_job(resolve_id(client, "job", job_id)), as_json=as_json)


def pause_job(job_id: JobId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Pause a job after a checkpoint; its hold stays."""
    with connect(url, key) as client:
        _tell(client.pause_job(resolve_id(client, "job", job_id)), as_json=as_json)


def resume_job(
    job_id: JobId,
    max_cost: Annotated[
        str | None, typer.Option("--max-cost", help="Yuan that the whole job may cost, where it paused at its limit.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Queue a paused job again; it goes on from its last checkpoint."""
    with connect(url, key) as client:
        _tell(client.resume_job(resolve_id(client, "job", job_id), max_cost=max_cost), as_json=as_json)


def set_job(
    job_id: JobId,
    priority: Annotated[
        str, typer.Option(metavar="N|queue", help="The higher goes first; `queue`: that of its queue again.")
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; its customer reads it.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Put a job before or behind others by a priority of its own, from the next cycle on."""
    if priority != "queue" and not priority.lstrip("-").isdigit():
        raise typer.BadParameter(f"{priority!r} is no whole number; say one, or queue", param_hint="--priority")
    with connect(url, key) as client:
        number = None if priority == "queue" else int(priority)
        job = client.set_priority(resolve_id(client, "job", job_id), number, reason)
    if as_json:
        write_json(job)
        return
    told = "the priority of its queue" if job["priority"] is None else f"priority {job['priority']}"
    make_console().print(f"{job['id']} has {told}.", soft_wrap=True)


def _tell(job: Job, *, as_json: bool) -> None:
    if as_json:
        write_json(job)
        return
    stopping = f", {STOPS.get(job['stop_requested'], 'stopping')}" if job["stop_requested"] else ""
    make_console().print(f"{job['id']} is {job['status']}{stopping}.", soft_wrap=True)

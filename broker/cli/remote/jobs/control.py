"""`broker jobs cancel`, `pause`, `resume` and `set`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from broker.cli.output import one_line, write_answer
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.jobs.options import JobId
from broker.cli.remote.operations.changes import write_changed
from broker.cli.texts.job_words import describe_stop
from broker.cli.texts.values import describe_money
from broker.cli.words import say, translate
from broker.client.objects.jobs import Job


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
    gpu_types: Annotated[
        list[str] | None,
        typer.Option(
            "--gpu-type",
            help="A type that it may run on from now on: repeat it for all. One that comes in is quoted, and held for.",
        ),
    ] = None,
    priority: Annotated[
        str | None,
        typer.Option(metavar="N|queue", help="The higher goes first; `queue`: that of its queue again (ops)."),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why its priority changes; its customer reads it.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Another name; an empty one takes it away.")] = None,
    notes: Annotated[
        str | None, typer.Option("--notes", metavar="TEXT", help="What you note of it, in place of what was.")
    ] = None,
    pinned: Annotated[bool | None, typer.Option("--pin/--unpin", help="Whether it stands first in lists.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Change a job's name, notes or pin; the GPU types of a waiting one; or its priority before others (ops)."""
    changes: dict[str, Any] = {"gpu_types": gpu_types} if gpu_types else {}
    said = {"name": name, "notes": notes, "pinned": pinned}
    changes |= {key: None if value == "" else value for key, value in said.items() if value is not None}
    if priority is not None:
        changes |= {"priority": _read_priority(priority), "reason": _need_reason(reason)}
    if not changes:
        raise typer.BadParameter(
            say("say what to change: --name, --notes, --pin, --gpu-type, or --priority with --reason"), param_hint="JOB"
        )
    with connect(url, key) as client:
        job = client.change_job(resolve_id(client, "job", job_id), changes)
    write_changed(job, _tell_set(job, changes), as_json=as_json)


def _read_priority(typed: str) -> int | None:
    if typed == "queue":
        return None
    if not typed.lstrip("-").isdigit():
        raise typer.BadParameter(
            say("{typed} is no whole number; say one, or queue", typed=repr(typed)), param_hint="--priority"
        )
    return int(typed)


def _need_reason(reason: str | None) -> str:
    if reason is None:
        raise typer.BadParameter(say("is needed with --priority: its customer reads it"), param_hint="--reason")
    return reason


def _tell_set(job: Job, changes: Mapping[str, Any]) -> str:
    types = ", ".join(f"{each['sku']} ({describe_money(each['price'])})" for each in job["gpu_types"] or ())
    priority = (
        say("the priority of its queue")
        if job["priority"] is None
        else say("priority {priority}", priority=job["priority"])
    )
    told = [
        say("may run on {types}", types=types) if "gpu_types" in changes else "",
        say("has {priority}", priority=priority) if "priority" in changes else "",
    ]
    told += [say("is called {name}", name=one_line(job["name"] or job["id"])) if "name" in changes else ""]
    told += [say("has other notes") if "notes" in changes else ""]
    told += [(say("is pinned") if changes["pinned"] else say("is pinned no more")) if "pinned" in changes else ""]
    return f"{job['id']} {say(' and ').join(part for part in told if part)}."


def _tell(job: Job, *, as_json: bool) -> None:
    stopping = f", {describe_stop(job['stop_requested'])}" if job["stop_requested"] else ""
    told = say("{job} is {status}{stopping}.", job=job["id"], status=translate(job["status"]), stopping=stopping)
    write_answer(job, told, as_json=as_json)

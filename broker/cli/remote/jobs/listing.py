"""`broker jobs list`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from broker.cli.output import find_line_width, make_console
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_page
from broker.cli.remote.projects import find_project
from broker.cli.texts.job_list import make_job_list
from broker.cli.words import say
from broker.client.objects.jobs import Job

NOTHING = "No such job. Submit one: broker submit --config lora.yaml --data DATA"


class Status(StrEnum):
    QUEUED = "queued"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


def list_jobs(
    status: Annotated[Status | None, typer.Option(help="Only jobs of this status.")] = None,
    project: Annotated[str | None, typer.Option("--project", help="Only jobs of this project: its name or id.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Only jobs with this in their name.")] = None,
    search: Annotated[
        str | None, typer.Option("--search", help="Only jobs with this in their name or notes, or beginning their id.")
    ] = None,
    pinned: Annotated[bool, typer.Option("--pinned", help="Only jobs that are pinned.")] = False,
    label: Annotated[
        str | None, typer.Option("--label", metavar="NAME=VALUE", help="Only jobs with this label.")
    ] = None,
    batch: Annotated[str | None, typer.Option("--batch", help="Only jobs of this batch: its id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many of the latest.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="All of them, not only the latest.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the latest jobs: where each stands, what it cost, why it waits or when it will have ended."""
    with connect(url, key) as client:
        project_id = None if project is None else find_project(client, project)
        wanted: dict[str, Any] = {
            "status": status,
            "project_id": project_id,
            "name": name,
            "label": label,
            "batch_id": batch,
        }
        wanted |= {"search": search, "pinned": pinned or None}
        every = client.list_all("/jobs", **wanted) if everything else None
        page = client.list_jobs(limit=limit, **wanted) if every is None else collect_page(every)
    write_page(page, _make_lines, as_json=as_json)
    if page["next_cursor"] and not as_json:
        make_console(stderr=True).print(
            say("The latest {count}. More: --limit, --all, --status, --project, --label, --name", count=limit)
        )


def _make_lines(jobs: Sequence[Job]) -> list[Text]:
    if not jobs:
        return [Text(say(NOTHING))]
    return make_job_list(jobs, datetime.now(UTC), find_line_width(make_console()))

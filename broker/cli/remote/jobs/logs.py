"""`broker jobs log`, `events` and `usage`: what happened to a job, and what was metered."""

import re
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text

from broker.cli.output import find_line_width, make_console, one_line, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.jobs.options import JobId
from broker.cli.remote.lists import collect_page, write_page
from broker.cli.texts.columns import Column, make_table
from broker.cli.texts.job_log import make_event_line, make_event_text
from broker.cli.texts.job_words import TERMINAL, describe_cost
from broker.cli.texts.values import describe_count, describe_money
from broker.cli.words import say
from broker.client.objects.jobs import Usage

POLL_SECONDS = 1.0
AGO = re.compile(r"(\d{1,6})([smhd])")
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
USAGE_COLUMNS = (
    Column("run"),
    Column("intervals", right=True),
    Column("GPU-seconds", right=True),
    Column("tokens", right=True),
)


def show_log(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show what happened to a job in full, with losses and samples; errors and advice stand there, too."""
    console = make_console()
    with connect(url, key) as client:
        job = client.get_job(resolve_id(client, "job", job_id))
        last = 0
        while True:
            events = list(client.list_events(job["id"], after=last))
            if as_json:
                write_json(collect_page(events))
                return
            for event in events:
                write_lines(console, make_event_text(event, datetime.now(UTC), console.width))
                last = event["id"]
            if not follow or (job["status"] in TERMINAL and not events):
                break
            time.sleep(0 if job["status"] in TERMINAL else POLL_SECONDS)
            job = client.get_job(job["id"])
    if job["error"]:
        told = say("{job} failed: {why}", job=job["id"], why=job["error"].get("message", ""))
        write_lines(console, [Text(told, "red")])


def show_training_log(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only lines of later: 10m, 2h, 1d ago, or a UTC time.")
    ] = None,
    search: Annotated[str | None, typer.Option("--search", metavar="TEXT", help="Only lines with this.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show the lines that a job's training wrote, of all its runs."""
    wanted = {"search": search, "since": None if since is None else read_since(since, datetime.now(UTC))}
    with connect(url, key) as client:
        job = client.get_job(resolve_id(client, "job", job_id))
        last: str | None = None
        while True:
            lines = list(client.list_log(job["id"], cursor=last, **wanted))
            if as_json:
                write_json(collect_page(lines))
                return
            write_lines(make_console(), [Text(f"{each['at'][:19]}Z  {one_line(each['text'])}") for each in lines])
            last = lines[-1]["id"] if lines else last
            if not follow or (job["status"] in TERMINAL and not lines):
                break
            time.sleep(0 if job["status"] in TERMINAL else POLL_SECONDS)
            job = client.get_job(job["id"])
    if last is None:
        none, never = say("No line is of this."), say("Its training has written no line yet.")
        make_console(stderr=True).print(never if search is None and since is None else none)


def read_since(typed: str, now: datetime) -> str:
    """Read how long ago, or a moment as it is written. Raises: BadParameter."""
    found = AGO.fullmatch(typed.strip())
    if found is not None:
        return (now - timedelta(seconds=int(found[1]) * UNIT_SECONDS[found[2]])).isoformat()
    try:
        moment = datetime.fromisoformat(typed)
    except ValueError:
        raise typer.BadParameter(
            say("{typed} is no time; say 30s, 10m, 2h or 1d, or 2026-11-24T10:05", typed=repr(typed)),
            param_hint="--since",
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def list_events(job_id: JobId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List what happened to a job, a line for each event."""
    with connect(url, key) as client:
        events = collect_page(client.list_events(resolve_id(client, "job", job_id)))
    now, width = datetime.now(UTC), find_line_width(make_console())
    write_page(events, lambda found: [make_event_line(event, now, width) for event in found], as_json=as_json)


def show_usage(job_id: JobId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show what was metered, run by run, and what it costs."""
    with connect(url, key) as client:
        job = client.get_job(resolve_id(client, "job", job_id))
        usage = client.get_usage(job["id"])
    if as_json:
        write_json(usage)
        return
    write_lines(make_console(), make_table(USAGE_COLUMNS, _sum_runs(usage)))
    cost = say("{cost}, and {borne} on us", cost=describe_cost(job), borne=describe_money(job["borne"]))
    hours, tokens = say("{hours} GPU-hours", hours=job["used_gpu_hours"]), describe_count(job["used_tokens"], "token")
    make_console().print(f"{hours}, {tokens}: {cost}")


def _sum_runs(usage: Usage) -> list[list[str]]:
    intervals = defaultdict(list)
    for interval in usage["data"]:
        intervals[interval["run_id"]].append(interval)
    return [
        [
            run_id,
            str(len(own)),
            f"{sum(each['gpu_seconds'] for each in own):,}",
            f"{sum(each['tokens'] for each in own):,}",
        ]
        for run_id, own in intervals.items()
    ]
